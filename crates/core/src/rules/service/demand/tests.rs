use super::*;
use crate::rules::service::Services;

const DIGEST: &str = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

fn services(json: &str) -> Services {
    serde_json::from_str(json).unwrap()
}

fn offer() -> Offer {
    Offer {
        class: ClassName::parse("small").unwrap(),
        services: services(
            r#"{"cache": {"image": "redis:7", "port": 6379},
                "db": {"image": "postgres:17", "port": 5432, "env": {"POSTGRES_PASSWORD": "pw"},
                       "health": {"command": "pg_isready", "interval_secs": 2, "retries": 30}}}"#,
        ),
        elsewhere: Vec::new(),
        engines: Vec::new(),
    }
}

fn asked(image: &str, ports: &[&str], env: &[(&str, &str)]) -> Asked {
    Asked {
        image: image.to_owned(),
        ports: ports.iter().map(|port| (*port).to_owned()).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Asked::default()
    }
}

fn db() -> Asked {
    asked("postgres:17", &["5432:5432"], &[("POSTGRES_PASSWORD", "pw")])
}

const NONE: &str = "; no class of this deployment declares what this job asks for";

fn differences(offer: &Offer, asked: &[Asked]) -> Vec<String> {
    compare(offer, &BTreeMap::new(), asked).unwrap_err()
}

/// The one difference, without the name of a class that fits.
fn difference(asked: Asked) -> String {
    let differences = differences(&offer(), &[asked]);
    assert_eq!(differences.len(), 1, "{differences:#?}");
    differences[0].strip_suffix(NONE).unwrap().to_owned()
}

#[test]
fn services_are_answered_in_the_order_in_which_they_are_asked_for() {
    let without_check =
        [db(), Asked { options: "--health-cmd 'redis-cli ping'".to_owned(), ..asked("redis:7", &[], &[]) }];
    let names = |met: Vec<Met>| met.into_iter().map(|met| met.name.to_string()).collect::<Vec<_>>();
    let told = differences(&offer(), &without_check);
    assert!(told[0].starts_with("service 2 (`redis:7`): the workflow waits for its health"), "{told:?}");
    let both = [
        asked("docker.io/library/redis:7", &["6379/tcp"], &[]),
        Asked {
            options: "--health-cmd \"pg_isready -U x\" --health-interval 10s --health-retries=5".into(),
            ..db()
        },
    ];
    assert_eq!(names(compare(&offer(), &BTreeMap::new(), &both).unwrap()), ["cache", "db"]);
}

#[test]
fn each_difference_is_a_sentence_of_its_own() {
    for (asked, expected) in [
        (
            asked("postgres:16", &["5432"], &[]),
            "service 1 (`postgres:16`): class `small` declares `postgres:17` in its place",
        ),
        (
            asked("mysql", &[], &[]),
            "service 1 (`mysql`): class `small` declares only `redis:7` and `postgres:17`",
        ),
        (asked("${{ x }}", &[], &[]), "service 1 (`${{ x }}`): its image is not the name of an image"),
        (
            asked("redis:7", &["6379", "16379"], &[]),
            "service 1 (`redis:7`): the workflow maps its port 16379 (`16379`), and it listens on 6379",
        ),
        (
            asked("redis:7", &["127.0.0.1:80:6379/tcp"], &[]),
            "service 1 (`redis:7`): the workflow puts it at port 80 (`127.0.0.1:80:6379/tcp`), and on this runner it \
             is at 6379: write `6379` alone, and use the port that `job.services` has",
        ),
        (
            asked("redis:7", &["6000-6010:6379"], &[]),
            "service 1 (`redis:7`): `6000-6010:6379` is not a port that can be compared",
        ),
        (
            asked("redis:7", &[], &[("A", "s3cret")]),
            "service 1 (`redis:7`): the workflow sets `A` in its env, and class `small` does not",
        ),
        (
            asked("postgres:17", &[], &[]),
            "service 1 (`postgres:17`): class `small` sets `POSTGRES_PASSWORD` in its env, and the workflow does not",
        ),
        (
            asked("postgres:17", &[], &[("POSTGRES_PASSWORD", "s3cret")]),
            "service 1 (`postgres:17`): the workflow gives `POSTGRES_PASSWORD` another value in its env than class \
             `small`",
        ),
        (
            Asked { impossible: vec!["volumes"], ..asked("redis:7", &[], &[]) },
            "service 1 (`redis:7`): the workflow gives it `volumes`, which a declared service cannot have",
        ),
        (
            Asked { options: "--shm-size 1g".into(), ..asked("redis:7", &[], &[]) },
            "service 1 (`redis:7`): the workflow gives it the option `--shm-size`, and a declared service can have only \
             those of a health check",
        ),
        (
            Asked { options: "-eA=s3cret".into(), ..asked("redis:7", &[], &[]) },
            "service 1 (`redis:7`): the workflow gives it the option `-e`, and a declared service can have only those \
             of a health check",
        ),
        (
            asked(&format!("postgres@{DIGEST}"), &[], &[("POSTGRES_PASSWORD", "pw")]),
            &format!(
                "service 1 (`{}`): class `small` declares `postgres:17` in its place",
                &format!("postgres@{DIGEST}")[..80]
            ),
        ),
    ] {
        let told = difference(asked);
        assert_eq!(told, expected);
        assert!(!told.contains("s3cret") && !told.contains("pw"), "{told}");
    }
}

#[test]
fn a_second_service_of_the_same_image_cannot_be_told_apart() {
    let told = differences(&offer(), &[asked("redis:7", &[], &[]), asked("library/redis:7", &[], &[])]);
    assert_eq!(
        told,
        [format!(
            "service 2 (`library/redis:7`): an earlier service has the same image, and GitHub tells a runner no other \
             difference{NONE}"
        )]
    );
}

#[test]
fn one_declared_service_is_not_given_twice() {
    let pinned = format!("redis:7@{DIGEST}");
    let services = services(&format!(r#"{{"cache": {{"image": "{pinned}", "port": 6379}}}}"#));
    let told =
        differences(&Offer { services, ..offer() }, &[asked("redis:7", &[], &[]), asked(&pinned, &[], &[])]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("class `small` declares one service for it and for an earlier one"),
        "{told:#?}"
    );
}

#[test]
fn several_differences_are_told_at_once() {
    let told = differences(
        &offer(),
        &[asked("redis:7", &["1:6379"], &[("A", "1"), ("B", "2")]), asked("mysql:9", &[], &[])],
    );
    assert_eq!(told.len(), 4, "{told:#?}");
    // What would serve all of them is said once, at the end.
    assert!(told[3].ends_with(NONE), "{told:#?}");
    assert!(told[..3].iter().all(|told| !told.contains(';')), "{told:#?}");
}

#[test]
fn the_class_that_would_do_is_named() {
    let other = |class: &str, json: &str| OtherClass {
        class: ClassName::parse(class).unwrap(),
        services: services(json).values().map(Into::into).collect(),
    };
    let none = Offer { services: Services::new(), ..offer() };
    let offer = Offer {
        elsewhere: vec![
            other("old", r#"{"db": {"image": "postgres:16", "port": 5432}}"#),
            other(
                "with-db",
                r#"{"x": {"image": "postgres:17", "port": 5432, "env": {"POSTGRES_PASSWORD": "other"}}}"#,
            ),
            other(
                "else",
                r#"{"x": {"image": "postgres:17", "port": 5433, "env": {"POSTGRES_PASSWORD": "pw"}}}"#,
            ),
        ],
        ..none.clone()
    };
    assert_eq!(
        differences(&offer, &[db()]),
        [
            "service 1 (`postgres:17`): class `small` declares no services; a class that declares what this job asks \
          for: `class:with-db`"
        ]
    );
    assert_eq!(
        differences(&none, &[db()]),
        [format!("service 1 (`postgres:17`): class `small` declares no services{NONE}")]
    );
    // Only a class that declares all of it would do.
    let told = differences(&offer, &[db(), asked("redis:7", &[], &[])]);
    assert!(told.last().unwrap().ends_with(NONE), "{told:#?}");
    // An outline holds no values.
    assert!(!serde_json::to_string(&offer).unwrap().contains("\"other\""));
}

#[test]
fn a_variable_that_the_runner_adds_is_a_difference_only_where_it_is_declared() {
    let added = |image: &str| Asked {
        added: ["NO_PROXY".to_owned()].into(),
        ..asked(image, &[], &[("NO_PROXY", "s3cret")])
    };
    assert!(compare(&offer(), &BTreeMap::new(), &[added("redis:7")]).is_ok());
    let declares = r#"{"cache": {"image": "redis:7", "port": 6379, "env": {"NO_PROXY": "none"}}}"#;
    let declaring = Offer { services: services(declares), ..offer() };
    let told = differences(&declaring, &[added("redis:7")]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("gives `NO_PROXY` another value in its env"), "{told:#?}");
    // Other classes are looked at in the same way.
    let elsewhere = [("plain", r#"{"x": {"image": "mysql", "port": 1}}"#), ("declaring", declares)];
    let elsewhere = elsewhere.map(|(class, json)| OtherClass {
        class: ClassName::parse(class).unwrap(),
        services: services(json).values().map(Into::into).collect(),
    });
    let none = Offer { services: Services::new(), elsewhere: elsewhere.into(), ..offer() };
    for (image, class) in [("mysql", "plain"), ("redis:7", "declaring")] {
        let told = differences(&none, &[added(image)]);
        assert!(told[0].ends_with(&format!(": `class:{class}`")), "{told:#?}");
    }
}

#[test]
fn a_service_at_another_port_is_answered_with_it() {
    let ports = BTreeMap::from([(ServiceName::parse("db").unwrap(), 40_001)]);
    let alone = Asked { ports: vec!["5432".to_owned()], ..db() };
    let met = compare(&offer(), &ports, &[alone]).unwrap();
    assert_eq!((met[0].port, met[0].host_port), (5432, 40_001));
    let told = compare(&offer(), &ports, &[db()]).unwrap_err();
    assert!(
        told[0].contains("puts it at port 5432 (`5432:5432`), and on this runner it is at 40001"),
        "{told:?}"
    );
}

#[test]
fn a_class_with_a_docker_engine_is_named_where_no_class_declares_what_is_asked_for() {
    let engines = ["images", "large"].map(|class| ClassName::parse(class).unwrap()).to_vec();
    let offer = Offer { engines, ..offer() };
    let told = differences(&offer, &[asked("mysql:8", &[], &[])]);
    let end = format!("{NONE}, and a class with a Docker engine serves it: `class:images`, `class:large`");
    assert!(told[0].ends_with(&end), "{told:?}");
    let stored = serde_json::to_string(&offer).unwrap();
    assert!(stored.ends_with(r#","engines":["images","large"]}"#), "{stored}");
    assert_eq!(serde_json::from_str::<Offer>(&stored).unwrap(), offer);
}

#[test]
fn the_stored_form_of_an_offer_never_changes() {
    let stored = r#"{"class":"small","services":{"db":{"image":"postgres:17","port":5432,"env":{"A":"1"},"health":{"command":"pg_isready","interval_secs":2,"retries":30},"process":["postgres"]}},"elsewhere":[{"class":"large","services":[{"image":"redis:7","port":6379,"variables":["B"],"health":true}]}]}"#;
    let offer: Offer = serde_json::from_str(stored).unwrap();
    assert_eq!(serde_json::to_string(&offer).unwrap(), stored);
}
