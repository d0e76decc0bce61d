//! No secret appears in a log, a task or an event.

use crate::chain::Chain;

/// The length of the pieces searched for, because a log line can cut a longer secret.
const PIECE: usize = 40;
/// The prefixes of installation tokens, GitHub's and the fake's, and of an App's JWTs.
const TOKENS: [&str; 3] = ["ghs_", "eyJhbGci", "eyJ0eXAi"];

pub(crate) async fn no_secret_is_in_a_log_a_task_or_an_event(chain: &Chain) {
    let mut texts: Vec<(String, String)> = Vec::new();
    let logged: Vec<String> = chain.logs().await.lines().map(str::to_owned).collect();
    texts.push(("the function's log".to_owned(), logged.join("\n")));
    for file in ["ministack.log", "gateway.log", "agent.log"] {
        let text = std::fs::read_to_string(chain.setting.dir.join("logs").join(file)).unwrap();
        texts.push((file.to_owned(), text));
    }
    let tasks: Vec<_> = chain.ecs.with(|ecs, _| ecs.tasks().collect());
    assert!(tasks.len() >= 3, "there are tasks to check");
    texts.push(("tasks".to_owned(), format!("{tasks:?}")));
    texts.push(("task events".to_owned(), format!("{:?}", chain.ecs.events_after(0).await)));

    // The runner's name has to be found, which shows that the search works.
    let runner = &tasks[0].environment["ECSRUNNER_RUNNER"];
    for (name, text) in
        texts.iter().filter(|(name, _)| !["gateway.log", "agent.log"].contains(&name.as_str()))
    {
        assert!(text.contains(runner.as_str()), "{name} mentions {runner}");
    }
    let secrets = chain.secrets();
    assert!(
        secrets.iter().any(|secret| secret.what.starts_with("the configuration of")),
        "JIT configurations"
    );
    for (name, text) in &texts {
        for token in TOKENS {
            assert!(!text.contains(token), "{name} has a token that begins with {token}");
        }
        for secret in &secrets {
            let pieces = secret.text.as_bytes().chunks(PIECE).filter(|piece| piece.len() >= 16);
            for piece in pieces {
                let piece = std::str::from_utf8(piece).unwrap();
                assert!(!text.contains(piece), "{name} has {}", secret.what);
            }
        }
    }
}
