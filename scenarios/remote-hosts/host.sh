#!/bin/sh
# Prepares a host for healgate: a user that may log in with healgate's key, and may start and restart nginx, and no more.
#
#   sudo sh host.sh "ssh-ed25519 AAAA… healgate"
set -eu
key=$1
id -u healgate >/dev/null 2>&1 || useradd --system --create-home --home-dir /home/healgate --shell /bin/sh healgate
install -d -m 700 -o healgate -g healgate /home/healgate/.ssh
# No forwarding, no terminal.
printf 'restrict %s\n' "$key" >/home/healgate/.ssh/authorized_keys
chown healgate:healgate /home/healgate/.ssh/authorized_keys
chmod 600 /home/healgate/.ssh/authorized_keys
cat >/etc/polkit-1/rules.d/healgate.rules <<'RULE'
polkit.addRule(function (action, subject) {
    if (action.id == "org.freedesktop.systemd1.manage-units" && subject.user == "healgate" &&
        action.lookup("unit") == "nginx.service" && ["start", "restart"].indexOf(action.lookup("verb")) >= 0) {
        return polkit.Result.YES;
    }
});
RULE
systemctl restart polkit
