//! Whether the webhook accepts requests from all addresses that GitHub sends
//! them from. GitHub changes these at times.

use anyhow::anyhow;
use ecsrunner_aws::parameters::WebhookSources;
use ecsrunner_core::cidr::Cidr;
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_github::Client;

use super::Check;
use crate::exit::Failure;

const NAME: &str = "webhook-sources";

pub(super) async fn check(client: &Client, sources: &Result<WebhookSources, String>) -> Check {
    match sources {
        Ok(sources) => judge(sources, client.webhook_ranges().await),
        Err(fault) => unknown(
            anyhow!("{fault}").into(),
            "run `terraform apply` with this release's Terraform, which writes them",
        ),
    }
}

fn judge(sources: &WebhookSources, ranges: Result<Option<Vec<Cidr>>, GitHubError>) -> Check {
    let ranges = match ranges {
        Ok(Some(ranges)) => ranges,
        Ok(None) => {
            let remedy =
                "compare `webhook.source_cidrs` with the addresses from which this server sends webhooks";
            return unknown(
                anyhow!("GitHub lists no addresses of webhooks (`hooks` of `GET /meta`)").into(),
                remedy,
            );
        }
        Err(error) => {
            let remedy = "run the command again later, or compare the output `webhook_sources` with `hooks` of GitHub's `GET /meta`";
            return unknown(Failure::of_github(error), remedy);
        }
    };
    let missing: Vec<String> =
        ranges.iter().filter(|range| !range.is_within(&sources.cidrs)).map(Cidr::to_string).collect();
    if missing.is_empty() {
        return Check::ok(
            NAME,
            format_args!("all {} ranges of GitHub's webhooks are accepted", ranges.len()),
        );
    }
    let missing = missing.join(", ");
    match &sources.github_as_of {
        Some(date) => Check::failed(
            NAME,
            format_args!(
                "GitHub's list of {date} lacks {missing}: webhooks from these addresses are refused with 403"
            ),
            "apply a newer release of the Terraform, or set `webhook.source_cidrs` to `hooks` of GitHub's `GET /meta`",
        ),
        None => Check::warning(
            NAME,
            format_args!("`webhook.source_cidrs` lacks {missing}, from which GitHub sends webhooks"),
            "add them, unless a proxy or GitHub Enterprise Server sends the webhooks",
        ),
    }
}

fn unknown(failure: Failure, remedy: &str) -> Check {
    Check::unknown(NAME, &failure.hint(remedy))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use ecsrunner_demo::github::{FakeGitHub, Options};
    use ecsrunner_github::{ApiUrl, Credentials};
    use secrecy::SecretString;
    use serde_json::json;

    use super::super::State;
    use super::*;

    fn sources(cidrs: &[&str], github_as_of: Option<&str>) -> WebhookSources {
        let cidrs = cidrs.iter().map(|range| Cidr::parse(range).unwrap()).collect();
        WebhookSources { cidrs, github_as_of: github_as_of.map(str::to_owned) }
    }

    /// Checks against a fake GitHub that sends webhooks from `ranges`.
    async fn checked(cidrs: &[&str], github_as_of: Option<&str>, options: Options) -> Check {
        let github = FakeGitHub::start(options).await.unwrap();
        let token = Credentials::Token(SecretString::from("token"));
        let client = Client::new(ApiUrl::parse(github.url()).unwrap(), &token).unwrap();
        check(&client, &Ok(sources(cidrs, github_as_of))).await
    }

    fn lists(ranges: &[&str]) -> Options {
        Options {
            webhook_ranges: ranges.iter().map(|&range| range.to_owned()).collect(),
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn a_list_that_covers_all_of_githubs_ranges_is_ok_from_any_author() {
        let github = ["192.30.252.0/22", "2606:50c0::/32"];
        for accepted in
            [&github[..], &["0.0.0.0/0", "::/0"], &["192.30.0.0/16", "2606:50c0::/31", "10.0.0.0/8"]]
        {
            for date in [None, Some("2026-08-29")] {
                let check = checked(accepted, date, lists(&github)).await;
                assert_eq!((check.state, check.remedy), (State::Ok, None), "{}", check.found);
                assert_eq!(check.found, "all 2 ranges of GitHub's webhooks are accepted");
            }
        }
    }

    #[tokio::test]
    async fn a_list_of_githubs_that_lacks_ranges_fails_and_one_of_the_operators_is_a_warning() {
        let github = lists(&["192.30.252.0/22", "198.51.100.0/24", "2606:50c0::/32"]);
        let accepted = ["192.30.252.0/22", "198.51.100.0/25", "0.0.0.0/32"];
        let check = checked(&accepted, Some("2026-08-29"), github).await;
        assert_eq!(check.state, State::Failed);
        let found = "GitHub's list of 2026-08-29 lacks 198.51.100.0/24, 2606:50c0::/32: webhooks from these addresses \
                     are refused with 403";
        assert_eq!(check.found, found);
        let remedy = check.remedy.unwrap();
        assert!(remedy.contains("newer release") && remedy.contains("`webhook.source_cidrs`"), "{remedy}");

        let check = checked(&["203.0.113.10/32"], None, lists(&["192.30.252.0/22"])).await;
        assert_eq!(check.state, State::Warning);
        let found = "`webhook.source_cidrs` lacks 192.30.252.0/22, from which GitHub sends webhooks";
        assert_eq!(check.found, found);
    }

    #[tokio::test]
    async fn without_githubs_list_or_the_deployments_the_check_is_unknown() {
        let everybody = ["0.0.0.0/0", "::/0"];
        let check = checked(&everybody, None, lists(&[])).await;
        assert_eq!(check.state, State::Unknown);
        assert_eq!(check.found, "GitHub lists no addresses of webhooks (`hooks` of `GET /meta`)");

        for (status, found) in
            [(500, "GitHub answered 500 to get-meta of"), (403, "GitHub refuses get-meta of")]
        {
            let fault = serde_json::from_value(json!({"path": "/meta", "status": status})).unwrap();
            let mut options = lists(&["192.30.252.0/22"]);
            options.faults.rest.push(fault);
            let check = checked(&everybody, Some("2026-08-29"), options).await;
            assert_eq!(check.state, State::Unknown);
            assert!(check.found.starts_with(found), "{}", check.found);
            assert!(check.remedy.unwrap().contains("compare the output `webhook_sources`"));
        }

        let client = Client::new(
            ApiUrl::parse("http://127.0.0.1:9").unwrap(),
            &Credentials::Token(SecretString::from("token")),
        );
        let check = super::check(&client.unwrap(), &Err("`webhook_sources` is missing".to_owned())).await;
        assert_eq!((check.state, check.found.as_str()), (State::Unknown, "`webhook_sources` is missing"));
        assert!(check.remedy.unwrap().contains("`terraform apply`"));
    }
}
