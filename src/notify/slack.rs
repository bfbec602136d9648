//! Slack's incoming webhooks, which other chats take too.
//! Source: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/>.

use std::path::Path;

use reqwest::header::HeaderMap;
use serde::Serialize;

use crate::config::Slack;
use crate::notify::http::Request;
use crate::notify::letter::Letter;
use crate::notify::sender::Unsent;
use crate::notify::template::{Markup, render};
use crate::outbound::secret;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    text: String,
    mrkdwn: bool,
    /// The links lead into our own network: nobody there can look at them.
    unfurl_links: bool,
    unfurl_media: bool,
}

/// The request that posts the letter.
pub(super) fn request(slack: &Slack, own: Option<&Path>, letter: &Letter) -> Result<Request, Unsent> {
    let url = secret::read(&slack.url, "the URL").map_err(Unsent::new)?;
    let body = Body {
        channel: slack.channel.as_deref(),
        text: render(Markup::Slack, own, &letter.told),
        mrkdwn: true,
        unfurl_links: false,
        unfurl_media: false,
    };
    Ok(Request {
        url,
        body: serde_json::to_vec(&body).map_err(Unsent::new)?,
        headers: HeaderMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_message_is_text_with_slacks_own_markup() {
        let slack = Slack {
            url: Secret::Inline("https://hooks.slack.com/services/T/B/X".to_owned()),
            channel: Some("#ops".to_owned()),
            ca_file: None,
        };
        let letter = Letter::test("1".to_owned(), "a<b", "http://h");
        let request = request(&slack, None, &letter).unwrap();
        assert_eq!(request.url, "https://hooks.slack.com/services/T/B/X");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        insta::assert_json_snapshot!(body, @r##"
        {
          "channel": "#ops",
          "text": "*a test of the notifier a&lt;b*\nThis is a test. If you can read it, messages of this gateway reach you.\n<http://h/jobs|More>",
          "mrkdwn": true,
          "unfurl_links": false,
          "unfurl_media": false
        }
        "##);
    }
}
