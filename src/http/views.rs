//! The shapes that the API answers with.

mod alert;
mod job;
mod notification;
mod story;

use serde::Serialize;

use crate::http::input::cursor;
use crate::store::read::{Page, PageRequest};

pub(crate) use alert::{AlertStoryView, AlertView};
pub(crate) use job::JobView;
pub(crate) use notification::{AcceptedView, NotificationDetailView, NotificationView};

/// A part of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// What to ask for with `cursor` next; `null` at the end of the list.
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A page of the store; `list` names it.
    pub(crate) fn of<S>(list: &'static str, page: Page<S>, view: impl Fn(S) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(view).collect(),
            next_cursor: page.next.map(|key| cursor(list, &key)),
        }
    }

    /// The page of a list that is at hand as a whole; `key` names an item.
    pub(crate) fn slice(list: &'static str, all: Vec<T>, page: &PageRequest, key: impl Fn(&T) -> &str) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let begin = page.after.as_ref().map_or(0, |after| {
            all.iter()
                .position(|item| key(item) == after)
                .map_or(all.len(), |at| at + 1)
        });
        let more = all.len().saturating_sub(begin) > limit;
        let items: Vec<T> = all.into_iter().skip(begin).take(limit).collect();
        let next_cursor = items.last().filter(|_| more).map(|last| cursor(list, key(last)));
        Self { items, next_cursor }
    }
}
