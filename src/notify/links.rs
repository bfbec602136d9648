//! Where messages lead to: the console's pages. The one place that knows them outside of the console.

use crate::domain::ids::{Fingerprint, JobId};
use crate::domain::notify::NotifyEvent;
use crate::percent::encoded;

/// Links into one gateway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<'a> {
    /// Without a slash at its end.
    external_url: &'a str,
}

impl<'a> Links<'a> {
    pub(super) fn new(external_url: &'a str) -> Self {
        Self { external_url }
    }

    pub(super) fn job(self, job: JobId) -> String {
        self.page(&format!("jobs/{job}"))
    }

    /// The alert's episodes, with what was decided and done about it.
    pub(super) fn story(self, alert: &Fingerprint) -> String {
        self.page(&format!("alerts/{}", encoded(alert.as_str())))
    }

    /// What an announcement is about.
    pub(super) fn announced(self, event: NotifyEvent) -> String {
        self.page(match event {
            // What goes on now tells of breakers and of what is held back. Alerts that flap are held back, too.
            NotifyEvent::BreakerOpened | NotifyEvent::Storm | NotifyEvent::Exhausted => "",
            NotifyEvent::HeartbeatMissed => "routes",
            NotifyEvent::Failed
            | NotifyEvent::NotHealed
            | NotifyEvent::Healed
            | NotifyEvent::AwaitingApproval
            | NotifyEvent::Lost => "jobs",
        })
    }

    /// What works in any gateway.
    pub(super) fn anything(self) -> String {
        self.page("jobs")
    }

    fn page(self, path: &str) -> String {
        format!("{}/{path}", self.external_url)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::domain::job::JobStatus;
    use crate::http::fake::{Gateway, job};

    #[test]
    fn a_fingerprint_stays_one_segment_whatever_it_is() {
        let links = Links::new("https://h/gate");
        let story = |raw: &str| links.story(&Fingerprint::parse(raw).unwrap());
        assert_eq!(story("0123abcd"), "https://h/gate/alerts/0123abcd");
        assert_eq!(
            story("a/../b?c#d é"),
            "https://h/gate/alerts/a%2F..%2Fb%3Fc%23d%20%C3%A9"
        );
    }

    #[actix_web::test]
    async fn links_lead_to_what_the_gateway_serves() {
        let gateway = Gateway::new();
        let links = Links::new("");
        let job = gateway.add_job(job(1, JobStatus::Failed));
        let announced = NotifyEvent::ALL.iter().map(|event| links.announced(*event));
        for link in announced.chain([links.anything(), links.job(job)]) {
            assert_eq!(gateway.get(&link).await.status, StatusCode::OK, "{link}");
        }
    }
}
