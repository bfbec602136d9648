//! How an alert stands, judged from what Alertmanagers say. Asks nobody.

use std::collections::{HashMap, HashSet};

use crate::domain::alert::{Alert, fingerprint};
use crate::domain::ids::Fingerprint;
use crate::domain::timestamp::Timestamp;

/// What the Alertmanagers of one cluster said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Of each that answered.
    pub sightings: Vec<Sighting>,
    /// A sentence for each that did not.
    pub failures: Vec<String>,
}

/// What one Alertmanager said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub process: Process,
    /// The alerts that it has active.
    pub active: HashMap<Fingerprint, Active>,
}

/// An alert as one Alertmanager has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// The silences that are on it.
    pub silenced_by: Vec<String>,
    /// By another alert, or by the time of day.
    pub is_muted: bool,
    /// When it began, if that was told.
    pub starts_at: Option<Timestamp>,
}

/// An Alertmanager from its start to its end: it keeps no alerts over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub name: String,
    pub up_since: Timestamp,
}

/// Which Alertmanagers have had an alert active.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(HashSet<Process>);

/// How an alert stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At least one has it active. With the silences that are on it: it fires all the same.
    Firing { silenced_by: Vec<String> },
    /// It was there, and is not any more.
    Gone,
    /// Nobody can tell.
    Unknown { why: String },
}

/// Whether an Alertmanager can know the alert. Others have fingerprints of another kind: Grafana's are of labels that it
/// does not show.
pub fn is_known_by_fingerprint(alert: &Alert) -> bool {
    fingerprint(&alert.labels) == alert.fingerprint
}

impl Look {
    /// How the alert stands: it fires if anybody has it active. It is gone if nobody has it who answered, and one of them
    /// must have had it: it was seen there, or began after that Alertmanager did.
    pub fn standing(&self, alert: &Alert, seen: &Seen) -> Standing {
        let active = self
            .sightings
            .iter()
            .filter_map(|sighting| sighting.active.get(&alert.fingerprint));
        let mut active = active.peekable();
        if active.peek().is_some() {
            return Standing::Firing {
                silenced_by: active.flat_map(|active| &active.silenced_by).cloned().collect(),
            };
        }
        let must_have_had = |process: &Process| alert.starts_at >= process.up_since || seen.0.contains(process);
        if self.sightings.iter().any(|sighting| must_have_had(&sighting.process)) {
            return Standing::Gone;
        }
        Standing::Unknown { why: self.unknown() }
    }

    /// The alert as one of them has it who would tell of it; nothing if another one keeps it silent.
    pub fn open(&self, alert: &Fingerprint) -> Option<&Active> {
        let has = self.sightings.iter().filter_map(|sighting| sighting.active.get(alert));
        let is_open = |active: &&Active| active.silenced_by.is_empty() && !active.is_muted;
        let all: Vec<&Active> = has.collect();
        all.first().copied().filter(|_| all.iter().all(is_open))
    }

    fn unknown(&self) -> String {
        match self.sightings.first() {
            Some(Sighting { process, .. }) => format!(
                "Alertmanager {} has been up only since {} and may not know the alert yet",
                process.name, process.up_since
            ),
            None => format!("no Alertmanager answered: {}", self.failures.join("; ")),
        }
    }

    /// The names of those who answered.
    pub fn answered(&self) -> String {
        let names: Vec<&str> = self
            .sightings
            .iter()
            .map(|sighting| sighting.process.name.as_str())
            .collect();
        names.join(", ")
    }
}

impl Seen {
    /// Remembers who has the alert active.
    pub fn remember(&mut self, look: &Look, alert: &Fingerprint) {
        let knowing = look
            .sightings
            .iter()
            .filter(|sighting| sighting.active.contains_key(alert));
        self.0.extend(knowing.map(|sighting| sighting.process.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::{AlertStatus, Labels};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// An alert that began at second 100.
    fn alert() -> Alert {
        let labels = Labels::from([("alertname".to_owned(), "Down".to_owned())]);
        Alert {
            status: AlertStatus::Firing,
            fingerprint: fingerprint(&labels),
            labels,
            annotations: Labels::new(),
            starts_at: at(100),
            ends_at: None,
            generator_url: String::new(),
        }
    }

    fn sighting(name: &str, up_since: i64, silences: Option<&[&str]>) -> Sighting {
        let silences = silences.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        Sighting {
            process: Process {
                name: name.to_owned(),
                up_since: at(up_since),
            },
            active: silences
                .map(|ids| (alert().fingerprint, silenced(ids)))
                .into_iter()
                .collect(),
        }
    }

    fn silenced(silenced_by: Vec<String>) -> Active {
        Active {
            silenced_by,
            ..Active::default()
        }
    }

    #[test]
    fn it_is_open_where_nobody_keeps_it_silent() {
        let open = |sightings: &[Sighting]| look(sightings).open(&alert().fingerprint).is_some();
        assert!(!open(&[sighting("a", 0, None)]));
        assert!(open(&[sighting("a", 0, None), sighting("b", 0, Some(&[]))]));
        assert!(!open(&[sighting("a", 0, Some(&["s1"])), sighting("b", 0, Some(&[]))]));
        let mut inhibited = sighting("a", 0, Some(&[]));
        inhibited.active.values_mut().for_each(|active| active.is_muted = true);
        assert!(!open(&[inhibited]));
    }

    fn look(sightings: &[Sighting]) -> Look {
        Look {
            sightings: sightings.to_vec(),
            failures: vec!["c does not answer".to_owned()],
        }
    }

    fn standing(sightings: &[Sighting]) -> Standing {
        look(sightings).standing(&alert(), &Seen::default())
    }

    #[test]
    fn it_fires_if_anybody_has_it() {
        let firing = |ids: &[&str]| Standing::Firing {
            silenced_by: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let absent = sighting("a", 0, None);
        assert_eq!(standing(&[absent.clone(), sighting("b", 0, Some(&[]))]), firing(&[]));
        assert_eq!(
            standing(&[absent, sighting("b", 0, Some(&["s1", "s2"]))]),
            firing(&["s1", "s2"])
        );
    }

    #[test]
    fn it_is_gone_if_somebody_who_must_have_had_it_has_it_no_more() {
        assert_eq!(standing(&[sighting("a", 0, None)]), Standing::Gone);
        assert_eq!(standing(&[sighting("a", 100, None)]), Standing::Gone);
        assert_eq!(
            standing(&[sighting("b", 500, None), sighting("a", 0, None)]),
            Standing::Gone
        );
    }

    #[test]
    fn a_restarted_alertmanager_cannot_say_that_it_is_gone() {
        let Standing::Unknown { why } = standing(&[sighting("a", 101, None)]) else {
            panic!("it cannot know");
        };
        assert!(
            why.contains("Alertmanager a has been up only since 1970-01-01T00:01:41Z"),
            "{why}"
        );
    }

    #[test]
    fn it_can_once_it_had_the_alert_but_not_after_another_restart() {
        let mut seen = Seen::default();
        seen.remember(&look(&[sighting("a", 101, Some(&[]))]), &alert().fingerprint);
        let standing = |up_since| look(&[sighting("a", up_since, None)]).standing(&alert(), &seen);
        assert_eq!(standing(101), Standing::Gone);
        assert!(matches!(standing(102), Standing::Unknown { .. }));
    }

    #[test]
    fn where_nobody_answers_nothing_is_known() {
        let why = "no Alertmanager answered: c does not answer".to_owned();
        assert_eq!(standing(&[]), Standing::Unknown { why });
    }

    #[test]
    fn only_alertmanagers_own_fingerprints_are_asked_about() {
        assert!(is_known_by_fingerprint(&alert()));
        let hidden = Alert {
            labels: Labels::new(),
            ..alert()
        };
        assert!(!is_known_by_fingerprint(&hidden));
    }
}
