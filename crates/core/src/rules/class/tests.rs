use super::*;

fn read(json: &str) -> (Catalogue, Vec<String>) {
    let entries: BTreeMap<String, ClassEntry> = serde_json::from_str(json).unwrap();
    let (catalogue, errors) = Catalogue::read(&entries);
    (catalogue, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn cpu_and_memory_alone_make_a_class() {
    let (catalogue, errors) = read(r#"{"small": {"cpu": 512, "memory": 1024}}"#);
    assert_eq!(errors, Vec::<String>::new());
    let small = catalogue.get(&ClassName::parse("small").unwrap()).unwrap();
    assert_eq!(small.offers.to_string(), "class:small,linux,self-hosted,x64");
    assert_eq!(small.capacity, Capacity::OnDemand);
    assert!(!small.exec, "ECS Exec gives a job an identity at AWS, so a class has to ask for it");
    assert!(catalogue.default_class().is_none());
}

#[test]
fn every_mistake_is_told_and_the_sound_classes_stay() {
    let (catalogue, errors) = read(
        r#"{"a": {"cpu": 512, "memory": 1024, "default": true},
            "b": {"cpu": 512, "memory": 1024, "default": true},
            "c": {"cpu": 512, "memory": 8192, "max_runners": 0, "labels": ["class:x"], "repositories": ["nope"]}}"#,
    );
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert_eq!(errors[0], "classes `a` and `b` are both the default, at most one can be");
    assert!(errors[1].contains("512"), "{}", errors[1]);
    assert!(catalogue.get(&ClassName::parse("a").unwrap()).is_some());
    assert!(catalogue.invalid(&ClassName::parse("c").unwrap()).is_some());
}

#[test]
fn githubs_own_labels_are_refused_in_any_case() {
    for label in GITHUB_LABELS.iter().map(|label| (*label).to_owned()).chain(["ARM64".to_owned()]) {
        let (catalogue, errors) =
            read(&format!(r#"{{"wrong": {{"cpu": 512, "memory": 1024, "labels": ["{label}"]}}}}"#));
        assert_eq!(errors.len(), 1, "{label}: {errors:?}");
        assert!(errors[0].contains(&format!("label `{label}` is not valid")), "{}", errors[0]);
        assert!(catalogue.invalid(&ClassName::parse("wrong").unwrap()).is_some());
    }
    let (_, errors) = read(r#"{"right": {"cpu": 512, "memory": 1024, "labels": ["gpu", "linux-large"]}}"#);
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn terraform_refuses_the_same_labels() {
    let terraform = include_str!("../../../../../terraform/modules/parameters/variables.tf");
    let list = GITHUB_LABELS.map(|label| format!("\"{label}\"")).join(", ");
    assert!(terraform.contains(&format!("contains([{list}], lower(label))")), "{list}");
}

#[test]
fn warm_tasks_are_none_unless_a_class_asks_for_them() {
    let (catalogue, errors) = read(
        r#"{"cold": {"cpu": 512, "memory": 1024},
            "warm": {"cpu": 512, "memory": 1024, "max_runners": 9, "warm": {"count": 2, "max_age_hours": 3}},
            "wrong": {"cpu": 512, "memory": 1024, "max_runners": 1, "warm": {"count": 2, "schedule": ["Mon"]}}}"#,
    );
    let warm = |name: &str| catalogue.get(&ClassName::parse(name).unwrap()).unwrap().warm.clone();
    assert_eq!(warm("cold"), None);
    let kept = warm("warm").unwrap();
    assert_eq!((kept.count, kept.max_age), (2, jiff::SignedDuration::from_hours(3)));
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0], "class `wrong`: warm.count is 2: at most max_runners is expected, which is 1");
    assert!(errors[1].starts_with("class `wrong`: warm.schedule: `Mon` is not a window"), "{}", errors[1]);
    assert!(catalogue.invalid(&ClassName::parse("wrong").unwrap()).is_some());
}

#[test]
fn classes_may_keep_as_many_warm_tasks_together_as_the_deployment() {
    let (catalogue, errors) = read(
        r#"{"large": {"cpu": 512, "memory": 1024, "warm": {"count": 2}},
            "none": {"cpu": 512, "memory": 1024},
            "small": {"cpu": 512, "memory": 1024, "warm": {"count": 3}}}"#,
    );
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(catalogue.check_warm(5), None);
    let told = catalogue.check_warm(4).unwrap().to_string();
    assert_eq!(
        told,
        "warm.count of all classes together is 5 (`large` 2, `small` 3), but limits.max_warm is 4: \
         set limits.max_warm to at least 5, or lower warm.count"
    );
    assert_eq!(Catalogue::default().check_warm(0), None);
}

#[test]
fn a_class_with_services_that_do_not_fit_the_place_is_set_aside() {
    let (mut catalogue, errors) = read(
        r#"{"aws": {"cpu": 1024, "memory": 2048, "services": {"db": {"image": "postgres:17", "port": 5432}}},
            "box": {"cpu": 1024, "memory": 2048,
                    "services": {"db": {"image": "postgres:17", "port": 5432, "process": ["postgres"]}}},
            "exec": {"cpu": 1024, "memory": 2048, "exec": true,
                     "services": {"db": {"image": "postgres:17", "port": 5432}}},
            "none": {"cpu": 1024, "memory": 2048}}"#,
    );
    assert_eq!(
        errors,
        [
            "class `exec`: exec is true, and it has services: a job could use the identity of its task through a \
          service, so no class can have both"
        ]
    );
    let errors: Vec<String> = catalogue.keep_fit(Place::Ecs).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "class `box`: service `db` has a process, which is for one machine: on ECS the container of its image runs"
        ]
    );
    assert_eq!(catalogue.names(), "aws, none");
    assert!(catalogue.invalid(&ClassName::parse("box").unwrap()).is_some());
}

#[test]
fn a_docker_class_needs_managed_instances_on_aws_and_nothing_on_one_machine() {
    let read_all = || {
        read(
            r#"{"plain": {"cpu": 1024, "memory": 2048},
                "build": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "docker": true},
                "large": {"cpu": 2048, "memory": 4096, "compute": "managed-instances"},
                "wrong": {"cpu": 1024, "memory": 2048, "compute": "fargate", "docker": true}}"#,
        )
    };
    let (mut catalogue, errors) = read_all();
    assert_eq!(errors, Vec::<String>::new());
    let told = |errors: Vec<ClassError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told(catalogue.keep_fit(Place::Ecs)),
        [
            "class `wrong`: docker is true, and its tasks run on Fargate, which gives no task the privileges that a \
             Docker engine needs: set compute to `managed-instances`"
        ]
    );
    assert_eq!(catalogue.names(), "build, large, plain");
    let of = |name: &str| {
        let class = catalogue.get(&ClassName::parse(name).unwrap()).unwrap();
        (class.compute, class.docker)
    };
    assert_eq!(of("plain"), (Compute::Fargate, false));
    assert_eq!(of("build"), (Compute::ManagedInstances, true));
    assert_eq!(of("large"), (Compute::ManagedInstances, false));
    let (mut catalogue, _) = read_all();
    assert_eq!(told(catalogue.keep_fit(Place::OneMachine)), Vec::<String>::new());
}

#[test]
fn a_docker_class_has_no_services_no_warm_tasks_and_no_exec() {
    let (catalogue, errors) = read(
        r#"{"build": {"cpu": 1024, "memory": 2048, "docker": true, "exec": true, "warm": {"count": 1}},
            "with-db": {"cpu": 1024, "memory": 2048, "docker": true,
                        "services": {"db": {"image": "postgres:17", "port": 5432}}}}"#,
    );
    assert_eq!(
        errors,
        [
            "class `build`: it has docker and warm: one of them alone is expected, since tasks with a Docker engine \
             cannot wait for a job",
            "class `build`: it has docker and exec: one of them alone is expected, since a job could use the identity \
             of its task, which Exec gives more permissions",
            "class `with-db`: it has docker and services: one of them alone is expected, since workflows start their \
             services with Docker there, so none are declared",
        ]
    );
    assert_eq!(catalogue.names(), "none");
}

#[test]
fn a_class_on_managed_instances_has_sizes_of_its_own_and_nothing_that_shares_an_instance() {
    let (catalogue, errors) = read(
        r#"{"huge": {"cpu": 65536, "memory": 131072, "compute": "managed-instances", "ephemeral_storage_gib": 500},
            "tiny": {"cpu": 256, "memory": 512, "compute": "managed-instances"},
            "with-db": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "exec": true,
                        "warm": {"count": 1}, "services": {"db": {"image": "postgres:17", "port": 5432}}}}"#,
    );
    assert_eq!(catalogue.names(), "huge");
    assert!(errors[0].starts_with("class `tiny`: cpu 256 is not offered on managed instances"), "{errors:?}");
    let excluded = |key: &str| {
        let begins =
            format!("class `with-db`: it has compute `managed-instances` and {key}: one of them alone");
        errors.iter().any(|error| error.starts_with(&begins))
    };
    assert!(["services", "warm", "exec"].into_iter().all(excluded), "{errors:?}");
}

#[test]
fn a_class_has_gpus_on_managed_instances_alone() {
    let (mut catalogue, errors) = read(
        r#"{"cuda": {"cpu": 3000, "memory": 14336, "compute": "managed-instances", "docker": true,
                     "gpu": {"count": 1, "instance_types": ["g6.*"]}},
            "plain": {"cpu": 3000, "memory": 14336, "compute": "managed-instances"},
            "none": {"cpu": 1024, "memory": 2048, "gpu": {"count": 1}},
            "three": {"cpu": 1000, "memory": 14336, "compute": "managed-instances",
                      "gpu": {"count": 3, "instance_types": ["G6"]}},
            "warm": {"cpu": 4096, "memory": 14336, "compute": "managed-instances", "gpu": {"count": 8},
                     "warm": {"count": 1}}}"#,
    );
    assert_eq!(
        errors,
        [
            "class `none`: gpu is set, and its tasks run on Fargate, which has no GPUs: set compute to `managed-instances`",
            "class `three`: cpu 1000 is not offered on instances with GPUs: 1024 to 196608 is expected",
            "class `three`: gpu.count is 3: 1, 2, 4 or 8 is expected: instance types have no other number",
            "class `three`: gpu.instance_types has `G6`: up to 30 of a-z, 0-9, `.`, `-` and `*` are expected, such as \
             `g6.xlarge` or `g6.*`",
            "class `warm`: it has compute `managed-instances` and warm: one of them alone is expected, since a warm task \
             would keep an instance that serves one job only",
        ]
    );
    assert_eq!(catalogue.names(), "cuda, plain");
    let gpu = |name: &str| catalogue.get(&ClassName::parse(name).unwrap()).unwrap().gpu.clone();
    assert_eq!(gpu("cuda"), Some(Gpu { count: 1, instance_types: vec!["g6.*".to_owned()] }));
    assert_eq!(gpu("plain"), None);
    assert!(catalogue.clone().keep_fit(Place::Ecs).is_empty());
    let told: Vec<String> = catalogue.keep_fit(Place::OneMachine).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "class `cuda`: gpu is set, and only tasks on managed instances of AWS get GPUs: leave it out on one machine"
        ]
    );
    assert_eq!(catalogue.names(), "plain");
}

#[test]
fn labels_are_mapped_to_classes_that_exist() {
    let (mut catalogue, _) = read(r#"{"small": {"cpu": 512, "memory": 1024}}"#);
    let labels = [
        ("Ubuntu-Latest", "small"),
        ("self-hosted", "small"),
        ("x64", "small"),
        ("a", "huge"),
        ("class:b", "small"),
    ];
    let labels = labels.map(|(label, class)| (label.to_owned(), class.to_owned())).into();
    let errors: Vec<String> = catalogue.map_labels(&labels).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "label `a` is mapped to the class `huge`, which does not exist: the catalogue has small",
            "label `class:b` cannot be mapped to a class: labels that begin with `class:` or `ecsrunner:` are reserved for ecsrunner",
            "label `x64` cannot be mapped to a class: GitHub's own labels are not expected: a class has `self-hosted`, `linux` and its architecture by itself",
        ]
    );
    let class =
        |labels: &[&str]| catalogue.mapped_class(&Labels::new(labels)).map(|class| class.name.to_string());
    assert_eq!(class(&["ubuntu-latest"]), Some("small".to_owned()));
    assert_eq!(class(&["self-hosted"]), Some("small".to_owned()));
    assert_eq!(class(&["windows-latest"]), None);
}
