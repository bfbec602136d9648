//! A limit that no argument could hold limits real Ansible all the same, and to nothing more.

use std::fmt::Write;

use healgate::domain::attempt::Outcome;
use healgate::domain::limit::Limit;

use crate::runs::{World, cores};

#[tokio::test]
async fn a_limit_of_thousands_of_hosts_is_kept() {
    for core in cores() {
        let world = World::new(&core);
        let names: Vec<String> = (0..3_000).map(|n| format!("web{n:05}")).collect();
        let hosts = names.iter().fold("[edge]\n2001:db8::1\n".to_owned(), |mut text, name| {
            let _ = writeln!(text, "{name}");
            text
        });
        let inventory = format!("{hosts}other\n[all:vars]\nansible_connection=local\n");
        world.write("hosts", &inventory);
        let limit = format!("{},2001:db8::1", names.join(","));
        let play = "- hosts: web00000,web02999,other,2001:db8::1\n  gather_facts: false\n  tasks:\n    - debug: {msg: hello}\n";
        let run = world.play(play, |parameters| {
            parameters.limit = Some(Limit::parse(&limit).unwrap());
        });
        let ended = run.end().await;
        assert_eq!(ended.outcome, Outcome::Ok, "{}", ended.log);
        let mut ran: Vec<&str> = ended.tasks.iter().map(|task| task.host.as_str()).collect();
        ran.sort_unstable();
        assert_eq!(ran, ["2001:db8::1", "web00000", "web02999"], "{}", ended.log);
    }
}
