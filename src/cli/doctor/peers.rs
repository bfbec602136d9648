//! Those that the gateway works with: itself, Alertmanager and Prometheus. Do they answer, what time is it there, does
//! Alertmanager post here?

use std::time::Duration;

use crate::cli::client::{Access, Client};
use crate::cli::doctor::{Finding, Patient, routing};
use crate::clock::{Clock, SystemClock};
use crate::peers::examine::{self, Seen};

/// A clock that is off by so much confuses times, and by so much the rules that depend on them.
const OFF: Duration = Duration::from_secs(3);
const FAR_OFF: Duration = Duration::from_secs(60);

pub(super) async fn examine(patient: &Patient) -> Vec<Finding> {
    let settings = &patient.settings;
    let mut findings = vec![gateway(patient).await];
    if settings.alertmanagers.is_empty() {
        let message = "no `alertmanagers` in healgate.yml: nobody is asked whether an alert still fires, nor whether it posts here";
        findings.push(Finding::warning(
            "alertmanager",
            message,
            "Add `alertmanagers: [{url: http://…:9093}]`.",
        ));
    }
    for peer in &settings.alertmanagers {
        match examine::alertmanager(peer).await {
            Ok(seen) => {
                let message = format!("{} answers: version {}", peer.name, seen.version);
                findings.push(Finding::ok("alertmanager", message));
                findings.extend(clock(&peer.name, &seen));
                findings.extend(routing::judge(patient, &peer.name, &seen.config));
            }
            Err(error) => {
                let advice = format!("Does it run at {}? Look at `alertmanagers` in healgate.yml.", peer.url);
                findings.push(Finding::failed("alertmanager", error.to_string(), advice));
            }
        }
    }
    if let Some(peer) = &settings.prometheus {
        match examine::prometheus(peer).await {
            Ok(seen) => {
                findings.push(Finding::ok("prometheus", format!("{} answers", peer.name)));
                findings.extend(clock(&peer.name, &seen));
            }
            Err(error) => {
                let advice = format!("Does it run at {}? Look at `prometheus` in healgate.yml.", peer.url);
                findings.push(Finding::failed("prometheus", error.to_string(), advice));
            }
        }
    }
    findings
}

/// Whether one runs already.
async fn gateway(patient: &Patient) -> Finding {
    let mut address = patient.settings.server.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            [0, 0, 0, 0, 0, 0, 0, 1].into()
        });
    }
    let asked = match Client::at(&Access::to(&format!("http://{address}")), &Default::default()) {
        Ok(client) => client.get(&["readyz"], &[]).await,
        Err(failure) => Err(failure),
    };
    match asked {
        Ok(_) => Finding::ok("gateway", format!("it runs at http://{address}, and takes alerts")),
        Err(failure) if failure.answer().is_none_or(|answer| answer.status == 503) => {
            let message = format!("nothing takes alerts at http://{address}: {failure}");
            Finding::warning("gateway", message.lines().next().unwrap_or_default(), "healgate serve")
        }
        Err(failure) => {
            let message = format!("what listens at http://{address} is no gateway: {failure}");
            Finding::failed(
                "gateway",
                message.lines().next().unwrap_or_default(),
                "Choose another `server.listen`.",
            )
        }
    }
}

/// How far this machine's clock and theirs are apart; nothing where they do not say.
fn clock(name: &str, seen: &Seen) -> Option<Finding> {
    let (here, there) = (SystemClock.now(), seen.date?);
    // One of the two is no time at all.
    let apart = here.since(there) + there.since(here);
    let message = format!(
        "the clocks of this machine and of {name} are {} s apart",
        apart.as_secs()
    );
    let advice = "Let both follow NTP: timedatectl, chronyc tracking.";
    Some(if apart > FAR_OFF {
        Finding::failed("clock", message, advice)
    } else if apart > OFF {
        Finding::warning("clock", message, advice)
    } else {
        Finding::ok("clock", format!("the clocks of this machine and of {name} agree"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn clocks_that_are_apart_are_noticed_in_both_directions() {
        let seen = |date| Seen {
            date,
            version: String::new(),
            config: String::new(),
        };
        let now = SystemClock.now();
        for (seconds, state) in [(0, State::Ok), (10, State::Warning), (300, State::Failed)] {
            let apart = Duration::from_secs(seconds);
            for date in [now + apart, now - apart] {
                assert_eq!(clock("am", &seen(Some(date))).unwrap().state, state, "{seconds}");
            }
        }
        assert_eq!(clock("am", &seen(None)), None);
    }
}
