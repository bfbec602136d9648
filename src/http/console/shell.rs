//! What is around every page: where one is, who one is, and what one may do.

use crate::http::console::access::Who;
use crate::http::console::assets;

/// A part of the console, as the navigation names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Now,
    Jobs,
    Alerts,
    Routes,
    Playbooks,
    Notifications,
    Statistics,
    /// Where the navigation does not lead.
    Nowhere,
}

/// The navigation: where it leads, and what it says.
const PLACES: [(Place, &str, &str); 7] = [
    (Place::Now, "/", "Now"),
    (Place::Jobs, "/jobs", "Jobs"),
    (Place::Alerts, "/alerts", "Alerts"),
    (Place::Routes, "/routes", "Routes"),
    (Place::Playbooks, "/playbooks", "Playbooks"),
    (Place::Notifications, "/notifications", "Notifications"),
    (Place::Statistics, "/stats", "Statistics"),
];

/// A link of the navigation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
    pub(super) is_here: bool,
}

/// The frame of a page.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    /// Where style and scripts are.
    pub(super) assets: &'static str,
    pub(super) links: Vec<Link>,
    pub(super) me: Option<Me>,
}

/// The one who looks at the page.
#[derive(Clone, Debug)]
pub(super) struct Me {
    pub(super) name: String,
    pub(super) role: &'static str,
    /// Whether they may change jobs.
    pub(super) may_operate: bool,
    /// Whether there is a session that they can end.
    pub(super) may_sign_out: bool,
}

impl Shell {
    /// Of a page for somebody.
    pub(super) fn of(who: &Who, place: Place) -> Self {
        Self {
            me: Some(Me {
                name: who.caller.name.clone(),
                role: who.caller.role.as_str(),
                may_operate: who.caller.may_operate(),
                may_sign_out: who.session.is_some(),
            }),
            ..Self::bare(place)
        }
    }

    /// Of a page for anybody.
    pub(super) fn bare(place: Place) -> Self {
        let links = PLACES.map(|(known, path, text)| Link {
            path,
            text,
            is_here: known == place,
        });
        Self {
            assets: assets::folder(),
            links: links.to_vec(),
            me: None,
        }
    }

    /// Whether buttons that change something are shown.
    pub(super) fn may_operate(&self) -> bool {
        self.me.as_ref().is_some_and(|me| me.may_operate)
    }
}
