//! Who is there: routes, hosts, and the dice that decide. A few hosts and routes have most of the trouble.

/// A route of the catalogue, and how many alerts of a thousand it gets.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) playbook: &'static str,
    pub(super) alertname: &'static str,
    pub(super) job: &'static str,
    pub(super) weight: u64,
    pub(super) lock: Lock,
    pub(super) verifies: bool,
}

/// What a route's jobs are lined up by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    /// As where a playbook names none: the playbook and the alert.
    Alert,
    Host,
    /// One of a few for all.
    Cluster,
}

const fn route([name, playbook, alertname, job]: [&'static str; 4], weight: u64, lock: Lock, verifies: bool) -> Route {
    Route {
        name,
        playbook,
        alertname,
        job,
        weight,
        lock,
        verifies,
    }
}

pub(super) const ROUTES: [Route; 24] = [
    route(["service-down", "restart", "ServiceDown", "web"], 190, Lock::Host, true),
    route(
        ["disk-filling", "clean-disk", "DiskWillFillIn4Hours", "node"],
        150,
        Lock::Host,
        true,
    ),
    route(["disk-full", "clean-disk", "DiskFull", "node"], 60, Lock::Host, true),
    route(["memory", "restart", "MemoryPressure", "node"], 80, Lock::Host, true),
    route(
        ["unit-failed", "restart-unit", "SystemdUnitFailed", "node"],
        90,
        Lock::Host,
        true,
    ),
    route(
        [
            "pod-crash-loop",
            "delete-pod",
            "KubePodCrashLooping",
            "kube-state-metrics",
        ],
        100,
        Lock::Cluster,
        true,
    ),
    route(
        ["pod-not-ready", "delete-pod", "KubePodNotReady", "kube-state-metrics"],
        50,
        Lock::Cluster,
        true,
    ),
    route(
        ["node-not-ready", "drain-node", "KubeNodeNotReady", "kube-state-metrics"],
        15,
        Lock::Cluster,
        true,
    ),
    route(
        ["certificate", "renew-certificate", "CertificateExpiresSoon", "blackbox"],
        20,
        Lock::Alert,
        false,
    ),
    route(
        ["probe-failed", "restart", "ProbeFailed", "blackbox"],
        45,
        Lock::Alert,
        true,
    ),
    route(
        ["replication-lag", "resync-replica", "ReplicationLag", "postgres"],
        25,
        Lock::Alert,
        true,
    ),
    route(
        ["connections", "kill-idle-sessions", "TooManyConnections", "postgres"],
        30,
        Lock::Alert,
        true,
    ),
    route(
        ["queue-backlog", "scale-workers", "QueueBacklog", "rabbitmq"],
        30,
        Lock::Alert,
        true,
    ),
    route(
        ["cache-evictions", "flush-cache", "CacheEvictions", "redis"],
        15,
        Lock::Alert,
        false,
    ),
    route(["load", "renice", "HighLoad", "node"], 30, Lock::Host, false),
    route(["clock-skew", "sync-clock", "ClockSkew", "node"], 10, Lock::Host, true),
    route(["raid", "open-ticket", "RaidDegraded", "node"], 5, Lock::Host, false),
    route(
        ["backup-late", "run-backup", "BackupTooOld", "backup"],
        15,
        Lock::Alert,
        true,
    ),
    route(
        ["dns", "restart-resolver", "DnsFailures", "blackbox"],
        12,
        Lock::Host,
        true,
    ),
    route(["ntp", "sync-clock", "NtpOffset", "node"], 8, Lock::Host, true),
    route(
        ["conntrack", "raise-conntrack", "ConntrackFull", "node"],
        8,
        Lock::Host,
        true,
    ),
    route(
        ["zombies", "restart-unit", "TooManyZombies", "node"],
        6,
        Lock::Host,
        true,
    ),
    route(
        [
            "image-pull",
            "clean-images",
            "KubeImagePullBackOff",
            "kube-state-metrics",
        ],
        5,
        Lock::Cluster,
        true,
    ),
    route(["canary", "roll-back", "CanaryFails", "deploy"], 1, Lock::Alert, true),
];

/// The routes' hosts.
#[derive(Debug)]
pub(super) struct Fleet {
    hosts: u64,
    weights: u64,
}

impl Fleet {
    /// A host has a job about four times a week.
    pub(super) fn of(jobs: u64) -> Self {
        Self {
            hosts: (jobs / 500).max(10),
            weights: ROUTES.iter().map(|route| route.weight).sum(),
        }
    }

    pub(super) fn route(&self, dice: &mut Dice) -> usize {
        let mut left = dice.below(self.weights);
        let at = ROUTES.iter().position(|route| {
            let is_here = left < route.weight;
            left = left.saturating_sub(route.weight);
            is_here
        });
        at.unwrap_or(0)
    }

    /// The first host of two thousand has one alert of 160, the last one of 3,000.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand hosts"
    )]
    pub(super) fn host(&self, dice: &mut Dice) -> u64 {
        let part = dice.below(1 << 30) as f64 / (1_u64 << 30) as f64;
        (part.powf(1.5) * self.hosts as f64) as u64
    }
}

/// The name by which Prometheus knows a host.
pub(super) fn instance(host: u64) -> String {
    let kind = ["web", "app", "db", "node", "cache"][usize::try_from(host % 5).unwrap_or(0)];
    format!("{kind}{host}.example:9100")
}

/// Of the alert of that route about that host.
pub(super) fn fingerprint(route: usize, host: u64) -> String {
    format!("{:016x}", mix(host << 8 | u64::try_from(route).unwrap_or(0)))
}

pub(super) fn target(route: usize, host: u64) -> String {
    let Route { playbook, lock, .. } = ROUTES[route];
    match lock {
        Lock::Alert => format!("{playbook}/{}", fingerprint(route, host)),
        Lock::Host => format!("host/{}", instance(host)),
        Lock::Cluster => format!("cluster/eu-{}", host % 5),
    }
}

/// Decides; always the same way from the same beginning on.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// From one up to the other.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from).unwrap_or(1);
        from + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// So many times of a thousand.
    pub(super) fn chance(&mut self, of_thousand: u64) -> bool {
        self.below(1_000) < of_thousand
    }

    /// How many alerts come in one notification.
    pub(super) fn group(&mut self) -> u64 {
        match self.below(10) {
            0..=3 => 1,
            4..=6 => 3,
            7..=8 => 6,
            _ => 12,
        }
    }

    /// A UUIDv7 of that time.
    pub(super) fn id(&mut self, at: i64) -> String {
        let millis = u64::try_from(at / 1_000).unwrap_or(0) & 0xffff_ffff_ffff;
        let (one, two) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            millis >> 16,
            millis & 0xffff,
            one & 0xfff,
            one >> 16 & 0x3fff | 0x8000,
            two & 0xffff_ffff_ffff
        )
    }
}

/// The last step of SplitMix64.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
