//! Tokens of forms: each form can be sent only by whom it was made for, from a page of ours, and does its work once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::ids::JobId;
use crate::domain::timestamp::Timestamp;
use crate::http::console::access::Who;

/// How long a form may be looked at before it is sent.
const LASTS: Duration = Duration::from_secs(12 * 3_600);

/// Makes and checks the tokens. Its key lives as long as the process: forms from before a restart are to be confirmed again.
pub struct Forms {
    key: [u8; 64],
    /// The forms that did their work lately, the last one last.
    sent: Mutex<VecDeque<JobId>>,
}

/// How many of these are remembered: a second click comes soon.
const REMEMBERED: usize = 1_024;

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forms").finish_non_exhaustive()
    }
}

/// What a form carries besides its own fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormToken {
    /// Differs from form to form; the name of the job that the form makes, if it makes one.
    pub(crate) nonce: JobId,
    /// That the nonce was made for this person.
    pub(crate) proof: String,
}

/// A form that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was made for somebody else, before a restart, or not by us.
    NotOurs,
    /// It was made long ago.
    Old,
}

impl Forms {
    /// With a key of its own.
    ///
    /// # Errors
    ///
    /// The system has no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        Ok(Self {
            key,
            sent: Mutex::default(),
        })
    }

    /// A form for somebody.
    pub(crate) fn token(&self, who: &Who, nonce: JobId) -> FormToken {
        FormToken {
            nonce,
            proof: hex::encode(self.mac(who, nonce).finalize().into_bytes()),
        }
    }

    /// Whether a form that says this was made for them.
    pub(crate) fn check(&self, who: &Who, (nonce, proof): (&str, &str), now: Timestamp) -> Result<JobId, Stale> {
        let nonce: JobId = nonce.parse().map_err(|_| Stale::NotOurs)?;
        let proof = hex::decode(proof).map_err(|_| Stale::NotOurs)?;
        self.mac(who, nonce).verify_slice(&proof).map_err(|_| Stale::NotOurs)?;
        // The nonce begins with when it was made.
        let oldest = nonce.moved_to(now - LASTS);
        if nonce < oldest { Err(Stale::Old) } else { Ok(nonce) }
    }

    /// Notes that a form is doing its work. No, where it did so before: then somebody clicked twice.
    pub(crate) fn begin(&self, nonce: JobId) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.contains(&nonce) {
            return false;
        }
        sent.push_back(nonce);
        if sent.len() > REMEMBERED {
            sent.pop_front();
        }
        true
    }

    /// Notes that it came to nothing, and may be tried again.
    pub(crate) fn forget(&self, nonce: JobId) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|known| *known != nonce);
    }

    fn mac(&self, who: &Who, nonce: JobId) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(who.caller.name.as_bytes());
        mac.update(&[0]);
        mac.update(&who.session.map_or([0; 32], |signed_in| signed_in.0));
        mac.update(nonce.to_string().as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;
    use crate::http::auth::{Caller, SignedIn};
    use crate::http::fake::{job_id, now};

    fn who(name: &str, session: Option<u8>) -> Who {
        Who {
            caller: Caller {
                name: name.to_owned(),
                role: Role::Operator,
            },
            session: session.map(|byte| SignedIn([byte; 32])),
        }
    }

    #[test]
    fn a_form_can_be_sent_by_whom_it_was_made_for_and_by_nobody_else() {
        let forms = Forms::new().unwrap();
        let nonce = job_id(1).moved_to(now());
        let token = forms.token(&who("olaf", Some(1)), nonce);
        let check = |who: &Who, proof: &str| forms.check(who, (&nonce.to_string(), proof), now());
        assert_eq!(check(&who("olaf", Some(1)), &token.proof), Ok(nonce));
        for other in [who("olaf", Some(2)), who("olaf", None), who("vera", Some(1))] {
            assert_eq!(check(&other, &token.proof), Err(Stale::NotOurs), "{other:?}");
        }
        assert_eq!(check(&who("olaf", Some(1)), ""), Err(Stale::NotOurs));
        let restarted = Forms::new().unwrap();
        let given = (nonce.to_string(), token.proof);
        let stale = restarted.check(&who("olaf", Some(1)), (&given.0, &given.1), now());
        assert_eq!(stale, Err(Stale::NotOurs));
        let late = forms.check(&who("olaf", Some(1)), (&given.0, &given.1), now() + LASTS + LASTS);
        assert_eq!(late, Err(Stale::Old));
    }

    #[test]
    fn a_form_does_its_work_once_unless_it_came_to_nothing() {
        let forms = Forms::new().unwrap();
        assert!(forms.begin(job_id(1)) && !forms.begin(job_id(1)));
        forms.forget(job_id(1));
        assert!(forms.begin(job_id(1)));
        for number in 2..2_000 {
            assert!(forms.begin(job_id(number)));
        }
        assert!(forms.begin(job_id(1)), "more are remembered than need be");
    }
}
