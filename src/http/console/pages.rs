//! The ways from a part of a list to others, with what is asked for kept in the address.

use crate::http::input::{Query, cursor};
use crate::percent::encoded;

/// What stands below a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// What it lists; it is also where it is.
    pub(super) list: &'static str,
    /// None on the first page.
    pub(super) newest: Option<String>,
    pub(super) older: Option<String>,
}

impl Pages {
    /// `next` is where the store goes on.
    pub(super) fn of(list: &'static str, query: &Query, next: Option<&str>) -> Self {
        let filters: Vec<(&str, &str)> = query.pairs().filter(|(name, _)| *name != "cursor").collect();
        let is_first = query.all("cursor").next().is_none();
        let newest = (!is_first).then(|| format!("/{list}{}", written(filters.iter().copied())));
        let older = next.map(|next| {
            let next = cursor(list, next);
            let place = [("cursor", next.as_str())];
            format!("/{list}{}", written(filters.iter().copied().chain(place)))
        });
        Self { list, newest, older }
    }
}

/// A query, if there is something to ask for.
pub(super) fn written<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encoded(value)));
    match pairs.collect::<Vec<_>>().join("&") {
        empty if empty.is_empty() => empty,
        query => format!("?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest;
    use actix_web::dev::Payload;
    use actix_web::test::TestRequest;

    use super::*;

    fn pages(query: &str, next: Option<&str>) -> (Option<String>, Option<String>) {
        let request = TestRequest::with_uri(&format!("/jobs{query}")).to_http_request();
        let query = Query::from_request(&request, &mut Payload::None).into_inner().unwrap();
        let pages = Pages::of("jobs", &query, next);
        (pages.newest, pages.older)
    }

    #[test]
    fn other_pages_have_the_same_filters() {
        let (next, filters) = (cursor("jobs", "y"), "status=failed&q=a%26b");
        assert_eq!(pages("", None), (None, None));
        assert_eq!(pages("", Some("y")), (None, Some(format!("/jobs?cursor={next}"))));
        assert_eq!(
            pages(&format!("?{filters}&cursor=x"), Some("y")),
            (
                Some(format!("/jobs?{filters}")),
                Some(format!("/jobs?{filters}&cursor={next}"))
            )
        );
        assert_eq!(pages("?cursor=x", None), (Some("/jobs".to_owned()), None));
    }
}
