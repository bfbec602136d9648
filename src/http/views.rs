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
pub(crate) use story::{StoryEntryView, What, story};

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

    /// The page of a list that is at hand as a whole, sorted by what `key` says of an item. An item that is gone meanwhile
    /// is a place in the order all the same.
    pub(crate) fn slice(list: &'static str, all: Vec<T>, page: &PageRequest, key: impl Fn(&T) -> String) -> Self {
        let begin = page.after.as_ref().map_or(0, |after| {
            let is_after = |item: &T| key(item) > *after;
            all.iter().position(is_after).unwrap_or(all.len())
        });
        Self::part(list, all, (begin, page), |_, item| key(item))
    }

    /// The same where the order is that of a file, and `name` names an item. Where the item is gone that the page before
    /// ended with, the list goes on at its place.
    pub(crate) fn in_file_order(
        list: &'static str,
        all: Vec<T>,
        page: &PageRequest,
        name: impl Fn(&T) -> &str,
    ) -> Self {
        let begin = page.after.as_ref().map_or(0, |after| {
            let (place, last) = after.split_once(' ').unwrap_or_default();
            let found = all.iter().position(|item| name(item) == last);
            found.map_or_else(|| place.parse().unwrap_or(all.len()), |at| at + 1)
        });
        Self::part(list, all, (begin, page), |at, item| format!("{at} {}", name(item)))
    }

    fn part(
        list: &'static str,
        all: Vec<T>,
        (begin, page): (usize, &PageRequest),
        key: impl Fn(usize, &T) -> String,
    ) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = all.len().saturating_sub(begin) > limit;
        let items: Vec<T> = all.into_iter().skip(begin).take(limit).collect();
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| cursor(list, &key(begin + items.len() - 1, last)));
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests;
