//! The repositories that an App or a token reaches.

use ecsrunner_core::decide::sweep::repositories::Listed;
use ecsrunner_core::id::{Account, Repository};
use ecsrunner_demo::github::{RepositoryOptions, app_key};
use ecsrunner_engine::ports::github::{GitHub, GitHubError, RepositoryPage};
use ecsrunner_github::{ApiUrl, App, Client, Credentials};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::github::{app_client, options, start};
use crate::responder::{Answer, Responder};
use crate::{TOKEN, client};

fn account(name: &str) -> Account {
    Account::parse(name).unwrap()
}

fn names(page: &RepositoryPage) -> Vec<&str> {
    page.repositories.iter().map(|listed| listed.name.as_str()).collect()
}

fn repository(name: &str) -> Value {
    json!({"full_name": name, "private": true, "archived": false, "disabled": false})
}

/// GitHub with two active installations and a suspended one.
async fn two_installations() -> Responder {
    installations(|_| None).await
}

/// The same, with another answer to the lists of an installation's repositories.
async fn installations(fault: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> Responder {
    Responder::start(move |asked| {
        let path = asked.line.split(['?', ' ']).nth(1).unwrap_or_default();
        let installation = |id: u64, login: &str, suspended: Option<&str>| {
            json!({"id": id, "account": {"login": login}, "permissions": {}, "suspended_at": suspended})
        };
        let body = match path {
            "/app/installations" => json!([
                installation(9, "Acme", None),
                installation(3, "other", None),
                installation(1, "gone", Some("2026-11-01T00:00:00Z")),
            ]),
            "/installation/repositories" => {
                let of = asked.header("authorization").rsplit('-').next().unwrap().to_owned();
                if let Some(answer) = fault(&of) {
                    return Some(answer);
                }
                let page: usize = asked.query("page").unwrap().parse().unwrap();
                let count = if of == "9" { 130 } else { 2 };
                let all: Vec<Value> = (0..count)
                    .map(|number| repository(&format!("{}/r{number}", if of == "9" { "Acme" } else { "other" })))
                    .collect();
                let of_page: Vec<&Value> = all.iter().skip((page - 1) * 100).take(100).collect();
                json!({"total_count": count, "repositories": of_page})
            }
            _ => {
                let id = path.split('/').nth(3)?;
                json!({"token": format!("ghs-{id}"), "expires_at": "2099-01-01T00:00:00Z"})
            }
        };
        Some(Answer::new(if path.ends_with("access_tokens") { 201 } else { 200 }, &body))
    })
    .await
}

#[tokio::test]
async fn an_app_lists_the_repositories_of_an_owners_installation_page_by_page() {
    let github = two_installations().await;
    let client = app_client(github.base());
    let first = client.repositories(Some(&account("acme")), None).await.unwrap();
    assert_eq!((first.repositories.len(), first.calls), (100, 2));
    let last = client.repositories(Some(&account("acme")), first.next.as_deref()).await.unwrap();
    assert_eq!((names(&last)[0], last.repositories.len(), last.next.as_deref()), ("Acme/r100", 30, None));
    let none = client.repositories(Some(&account("gone")), None).await.unwrap();
    assert_eq!((none.repositories.len(), none.next), (0, None));
}

#[tokio::test]
async fn an_app_lists_the_repositories_of_all_active_installations() {
    let github = two_installations().await;
    let client = app_client(github.base());
    let (mut counts, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.repositories(None, cursor.as_deref()).await.unwrap();
        counts.push((names(&page)[0].to_owned(), page.repositories.len()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected = [("other/r0", 2), ("Acme/r0", 100), ("Acme/r100", 30)];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)));
    // An installation that was removed meanwhile is passed over.
    let page = client.repositories(None, Some("4:7")).await.unwrap();
    assert_eq!(names(&page)[0], "Acme/r0");
}

#[tokio::test]
async fn an_installation_that_github_does_not_list_is_passed_over() {
    for (status, words) in [(403, "no access"), (502, "GitHub answered 502")] {
        let github = installations(move |id| {
            (id == "3").then(|| Answer::new(status, &json!({"message": "no access"})))
        })
        .await;
        let client = app_client(github.base());
        let first = client.repositories(None, None).await.unwrap();
        assert!(first.passed_over.as_deref().is_some_and(|why| why.contains(words)), "{first:?}");
        assert_eq!((names(&first), first.calls), (vec![], 2));
        let second = client.repositories(None, first.next.as_deref()).await.unwrap();
        assert_eq!((names(&second)[0], second.passed_over.as_deref()), ("Acme/r0", None));
        let none = client.repositories(Some(&account("other")), None).await.unwrap();
        assert_eq!((names(&none), none.next.as_deref()), (vec![], None));
    }
}

#[tokio::test]
async fn a_list_that_is_throttled_passes_over_no_installation() {
    let throttled = || Answer::new(403, &json!({"message": "You have exceeded a secondary rate limit"}));
    let github = installations(move |_| Some(throttled())).await;
    let error = app_client(github.base()).repositories(None, None).await.unwrap_err();
    assert!(matches!(error, GitHubError::Throttled { .. }), "{error}");
}

#[tokio::test]
async fn the_installation_that_the_credentials_name_is_not_looked_up() {
    let github = two_installations().await;
    let app = App::new("1234", app_key().private_pem.clone(), Some(3)).unwrap();
    let client = Client::new(github.api(), &Credentials::App(app)).unwrap();
    let page = client.repositories(None, None).await.unwrap();
    assert_eq!(names(&page), ["other/r0", "other/r1"]);
    assert!(github.lines().iter().all(|line| !line.starts_with("GET /app/installations")));
}

#[tokio::test]
async fn a_token_lists_what_its_user_reaches_and_keeps_an_owners() {
    let github = Responder::start(|asked| {
        assert!(asked.line.starts_with("GET /user/repos?per_page=100&page="), "{}", asked.line);
        let first = asked.query("page") == Some("1");
        let count = if first { 100 } else { 1 };
        let listed: Vec<Value> = (0..count)
            .map(|number| repository(&format!("{}/r{number}", if number == 0 { "Acme" } else { "other" })))
            .collect();
        Some(Answer::new(200, &json!(listed)))
    })
    .await;
    let client = client(&github);
    let first = client.repositories(Some(&account("acme")), None).await.unwrap();
    assert_eq!((names(&first), first.next.as_deref(), first.calls), (vec!["Acme/r0"], Some("2"), 1));
    let last = client.repositories(Some(&account("acme")), Some("2")).await.unwrap();
    assert_eq!(last.next, None);
}

#[tokio::test]
async fn archived_and_disabled_repositories_are_marked() {
    let github = Responder::start(|_| {
        let (mut archived, mut disabled) = (repository("acme/old"), repository("acme/stopped"));
        archived["archived"] = json!(true);
        disabled["disabled"] = json!(true);
        let bare = json!({"full_name": "acme/app", "private": false});
        Some(Answer::new(200, &json!([archived, disabled, bare, {"full_name": "?", "private": true}])))
    })
    .await;
    let page = client(&github).repositories(None, None).await.unwrap();
    let listed =
        |name: &str, private, active| Listed { name: Repository::parse(name).unwrap(), private, active };
    let expected = [
        listed("acme/old", true, false),
        listed("acme/stopped", true, false),
        listed("acme/app", false, true),
    ];
    assert_eq!(page.repositories, expected);
}

#[tokio::test]
async fn the_fake_lists_what_an_app_and_a_token_reach() {
    let mut options = options(None);
    for name in ["acme/web", "other/app"] {
        let name = Repository::parse(name).unwrap();
        options.repositories.push(RepositoryOptions { name, private: true, fork: false });
    }
    let (fake, _) = start(options).await;
    let token = Credentials::Token(SecretString::from(TOKEN));
    let with_token = Client::new(ApiUrl::parse(fake.url()).unwrap(), &token).unwrap();
    for client in [app_client(fake.url()), with_token] {
        let page = client.repositories(Some(&account("acme")), None).await.unwrap();
        assert_eq!((names(&page), page.next.as_deref()), (vec!["acme/app", "acme/web"], None));
        let none = client.repositories(Some(&account("nobody")), None).await.unwrap();
        assert_eq!((none.repositories.len(), none.next), (0, None));
    }
}

#[tokio::test]
async fn a_list_that_github_refuses_is_an_error() {
    let github = Responder::start(|_| Some(Answer::new(403, &json!({"message": "no"})))).await;
    let error = client(&github).repositories(None, None).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 403, .. }), "{error:?}");
}
