//! Finds the job that a person means: by its id, by the beginning of one, or the last one. Changes nothing.

use uuid::Uuid;

use crate::cli::client::Client;
use crate::cli::failure::{Failure, Kind};
use crate::cli::table::{items, printable};

/// A shorter beginning is a slip.
const SHORTEST: usize = 4;

/// How many jobs are named where several begin so.
const NAMED: usize = 10;

/// A job as it is given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Pick {
    Id(String),
    /// Hexadecimal digits and hyphens.
    Beginning(String),
    /// The newest job.
    Last,
}

impl Pick {
    /// For commands that only look.
    pub(in crate::cli) fn or_last(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            _ => Self::parse(text),
        }
    }

    /// For commands that change something: `last` may be another job than the one that was just looked at.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if text.len() == 36 && Uuid::try_parse(&text).is_ok() {
            return Ok(Self::Id(text));
        }
        let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
        if (SHORTEST..36).contains(&text.len()) && text.chars().all(is_part) {
            return Ok(Self::Beginning(text));
        }
        Err(format!("a job's id, or at least its first {SHORTEST} characters"))
    }

    /// The job's id.
    pub(in crate::cli) async fn id(&self, client: &Client) -> Result<String, Failure> {
        match self {
            Self::Id(id) => Ok(id.clone()),
            Self::Last => last(client).await,
            Self::Beginning(beginning) => only(client, beginning).await,
        }
    }
}

async fn last(client: &Client) -> Result<String, Failure> {
    let jobs = client.get(&["api", "v1", "jobs"], &[("limit", "1".to_owned())]).await?;
    let job = items(&jobs, "items").first().and_then(|job| job["id"].as_str());
    job.map(str::to_owned)
        .ok_or_else(|| Failure::new(Kind::NotFound, "there is no job yet"))
}

async fn only(client: &Client, beginning: &str) -> Result<String, Failure> {
    // `q` finds texts elsewhere in jobs, too.
    let jobs = client
        .list(&["api", "v1", "jobs"], &[("q", beginning.to_owned())], 5_000)
        .await?;
    let ids = items(&jobs, "items").iter().filter_map(|job| job["id"].as_str());
    let ids: Vec<&str> = ids.filter(|id| id.starts_with(beginning)).collect();
    match (ids.as_slice(), jobs["next_cursor"].is_null()) {
        ([id], true) => Ok((*id).to_owned()),
        ([], true) => {
            let text = format!("there is no job whose id begins with {beginning}");
            Err(Failure::new(Kind::NotFound, text))
        }
        (several, all) => {
            let mut text = format!("several jobs may begin with {beginning}: write more of the id");
            for id in several.iter().take(NAMED) {
                text.push_str(&format!("\n  {}", printable(id)));
            }
            if several.len() > NAMED || !all {
                text.push_str("\n  …");
            }
            Err(Failure::usage(text))
        }
    }
}

/// How many characters of an id are enough to tell these apart.
pub(in crate::cli) fn enough(ids: &[&str]) -> usize {
    let is_enough = |length: &usize| {
        let mut heads: Vec<&str> = ids.iter().map(|id| id.get(..*length).unwrap_or(id)).collect();
        heads.sort_unstable();
        heads.windows(2).all(|pair| pair[0] != pair[1])
    };
    // With the first 13 all jobs of different milliseconds differ.
    (13..36).find(is_enough).unwrap_or(36)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019a5b3c-1234-7000-8000-00000000000a";

    #[test]
    fn a_job_is_an_id_or_its_beginning_and_the_last_one_only_to_look_at() {
        assert_eq!(Pick::parse(ID), Ok(Pick::Id(ID.to_owned())));
        assert_eq!(
            Pick::parse("019A5B3C-12"),
            Ok(Pick::Beginning("019a5b3c-12".to_owned()))
        );
        assert_eq!(Pick::or_last("last"), Ok(Pick::Last));
        for text in ["last", "", "019", "nginx", "019a/../x", &format!("{ID}0")] {
            assert!(Pick::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn ids_are_shortened_only_as_far_as_they_differ() {
        let same = "019a5b3c-1234-7000-8000-00000000000b";
        assert_eq!(enough(&[ID]), 13);
        assert_eq!(enough(&[ID, "019a5b3c-1235-7000-8000-00000000000b"]), 13);
        assert_eq!(enough(&[ID, same]), 36);
        assert_eq!(enough(&[ID, "019a5b3c-1234-7000-8001-00000000000b"]), 23);
    }
}
