//! Steps and checks on a whole small cluster.

use crate::graded;

const CLUSTER: &str =
    "{etcd: {members: 1}, apiServer: {}, controllerManager: {}, scheduler: {}, nodes: {count: 2}}";

const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {app: web, tier: front}}, \
    spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, \
    spec: {containers: [{name: web, image: nginx}]}}}}";

#[test]
fn every_step_of_the_api_does_what_kubectl_does() {
    let without_tier = DEPLOYMENT.replace(", tier: front", "");
    let steps = format!(
        "
  - apply: {{manifest: {DEPLOYMENT}}}
  - apply: {{manifest: {DEPLOYMENT}}}
  - scale: {{kind: Deployment, name: web, replicas: 3}}
  - apply: {{manifest: {without_tier}}}
  - create: {{manifest: \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {{name: a}}\\ndata: {{k: v}}\\n---\\napiVersion: v1\\nkind: Namespace\\nmetadata: {{name: shop}}\\n\"}}
  - create: {{manifest: {{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}}}
  - replace: {{manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {{k: w}}}}}}
  - patch: {{kind: ConfigMap, name: a, type: merge, patch: {{data: {{m: x}}}}}}
  - create: {{manifest: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: gone}}}}, namespace: shop}}
  - delete: {{kind: ConfigMap, name: gone, namespace: shop}}
  - delete: {{kind: ConfigMap, name: gone, namespace: shop}}
  - stop: scheduler
  - start: scheduler
  - wait: {{until: {{cel: 'web.status.?readyReplicas.orValue(0) == 1', objects: {{web: {{kind: Deployment, name: web}}}}}}}}
  - fastForward: 1m"
    );
    let tasks = "
  - id: one
    checks:
      - id: ready
        title: {en: R, ko: 준}
        points: 1
        eventually: 60s
        resource: {of: {kind: Deployment, name: web}, object: {spec: {replicas: 1}, metadata: {labels: {app: web, tier: null}}, status: {conditions: [{type: Available, status: 'True'}]}}}
      - {id: map, title: {en: M, ko: 맵}, points: 1, resource: {of: {kind: ConfigMap, name: a}, object: {data: {k: w, m: x}}}}
      - {id: gone, title: {en: G, ko: 없}, points: 1, resource: {of: {kind: ConfigMap, name: gone, namespace: shop}, absent: true}}
      - {id: pods, title: {en: P, ko: 파}, points: 1, count: {of: {kind: Pod, labelSelector: app=web}, is: 1}}
      - {id: nodes, title: {en: N, ko: 노}, points: 1, count: {of: {kind: Node}, atLeast: 2, atMost: 2}}
      - id: event
        title: {en: E, ko: 이}
        points: 1
        event: {reason: Scheduled, regarding: {kind: Pod}, messageContains: Successfully assigned}
      - id: order
        title: {en: O, ko: 순}
        points: 1
        trace:
          order:
            - {from: kubectl, kind: POST, text: /deployments}
            - {from: controllerManager/0, kind: POST, text: /replicasets}
            - {from: scheduler/0, kind: POST, text: /binding}
      - id: cel
        title: {en: C, ko: 셀}
        points: 1
        cel: {cel: 'pods.all(p, p.status.phase == \"Running\") && web.spec.replicas == 1', objects: {pods: {kind: Pod, labelSelector: app=web}, web: {kind: Deployment, name: web}}}";
    let report = graded(CLUSTER, " []", &tasks.replace("\\\"", "\""), &steps);
    let outputs: Vec<&str> =
        report.steps.iter().map(|step| step.error.as_deref().unwrap_or(step.output.as_str())).collect();
    assert_eq!(
        outputs,
        [
            "deployment.apps/web created",
            "deployment.apps/web unchanged",
            "deployment.apps/web scaled",
            "deployment.apps/web configured",
            "configmap/a created\nnamespace/shop created",
            "namespaces \"shop\" already exists",
            "configmap/a replaced",
            "configmap/a patched",
            "configmap/gone created",
            "configmap \"gone\" deleted",
            "configmaps \"gone\" not found",
            "stopped scheduler/0",
            "started scheduler/0",
            "",
            "",
        ]
    );
    assert!(report.passed(), "{}", report.to_text(labkit_lab::Language::En, 120));
}

#[test]
fn a_failed_check_tells_every_difference_and_the_last_real_error() {
    let tasks = "
  - id: one
    checks:
      - id: differs
        title: {en: D, ko: 다}
        points: 4
        partial: true
        resource: {of: {kind: Node, name: worker1}, object: {metadata: {name: worker1, labels: {a: b}}, spec: {unschedulable: true}}}
      - {id: missing, title: {en: M, ko: 없}, points: 1, resource: {of: {kind: Pod, name: nobody}}}
  - id: two
    checks:
      - {id: down, title: {en: D, ko: 다}, points: 1, count: {of: {kind: Node}, is: 2}}";
    let report = graded(CLUSTER, " []", tasks, "\n  - {task: two, stop: apiServer/0}");
    let checks: Vec<_> = report.checks().map(|(_, check)| check).collect();
    assert_eq!(checks[0].expected, r#"Node worker1: metadata.labels.a: "b"; spec.unschedulable: true"#);
    assert_eq!(checks[0].actual, "metadata.labels.a: absent; spec.unschedulable: absent");
    assert_eq!(checks[0].points, 1, "one of three holds");
    assert_eq!(checks[1].actual, "there is no Pod nobody");
    assert!(checks[2].error.as_ref().unwrap().contains("refused"), "{:?}", checks[2]);
}

#[test]
fn faults_meet_their_targets_and_are_healed() {
    let tasks = "
  - id: one
    lasts: 10s
    faults:
      - {id: cut, at: 1s, for: 2s, partition: 'etcd1 | etcd2, etcd3'}
      - {id: slow, at: 1s, for: 2s, slowDisk: {target: etcd/etcd2, by: 5ms}}
      - {id: late, at: 1s, healAt: 4s, delay: {link: 'etcd1 | etcd2', by: 10ms}}
      - {id: lossy, at: 1s, healAt: 4s, drop: {link: 'etcd1 | etcd3', probability: 0.5}}
      - {id: held, at: 5s, for: 1s, pause: etcd/etcd3}
      - {id: nobody, at: 5s, kill: etcd/etcd9}
    checks: [{id: a, title: {en: A, ko: 가}, points: 1, etcd: {leader: true, members: 3}}]";
    let report = graded("{etcd: {members: 3}}", " []", tasks, " []");
    let healed: Vec<(&str, Option<u64>)> =
        report.faults.iter().map(|fault| (fault.id.as_str(), fault.healed_ms)).collect();
    let expected = [
        ("cut", Some(3000)),
        ("late", Some(4000)),
        ("lossy", Some(4000)),
        ("slow", Some(3000)),
        ("held", Some(6000)),
        ("nobody", None),
    ];
    assert_eq!(healed, expected);
    assert!(
        report.faults[5]
            .error
            .as_ref()
            .unwrap()
            .starts_with("there is no etcd/etcd9 here; there are etcd/leader, ")
    );
    assert!(report.passed(), "{}", report.to_text(labkit_lab::Language::En, 120));
}

#[test]
fn a_corrupt_byte_keeps_a_member_down() {
    let tasks = |healed: &str| {
        format!(
            "
  - id: one
    lasts: 10s
    faults:
      - {{id: rot, at: 1s, {healed}, corruptByte: etcd/etcd3}}
      - {{id: crash, at: 2s, for: 3s, kill: etcd/etcd3}}
    checks: [{{id: a, title: {{en: A, ko: 가}}, points: 1, etcd: {{leader: true, members: 3}}}}]"
        )
    };
    let grade = |healed| graded("{etcd: {members: 3}}", " []", &tasks(healed), " []");
    assert!(!grade("for: 8s").passed(), "it was to start at 5s, and could not read its log");
    assert!(grade("for: 2s").passed(), "the byte was mended before");
}

/// A custom kind with a scale.
const DEFINITION: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gadgets.example.com}, \
    spec: {group: example.com, scope: Namespaced, names: {plural: gadgets, singular: gadget, kind: Gadget, listKind: GadgetList}, \
    versions: [{name: v1, served: true, storage: true, subresources: {scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}, \
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, tags: {type: array, items: {type: string}}}}, status: {type: object, properties: {size: {type: integer}}}}}}}]}}";

#[test]
fn steps_and_checks_know_the_kinds_that_a_lab_defines() {
    let gadget = |size: u8, tags: &str| {
        format!(
            "{{apiVersion: example.com/v1, kind: Gadget, metadata: {{name: a}}, spec: {{size: {size}, tags: [{tags}]}}}}"
        )
    };
    let setup = format!("\n  - create: {{manifest: {DEFINITION}}}\n  - wait: 2s");
    let (first, second) = (gadget(1, "x, y"), gadget(1, "y"));
    let steps = format!(
        "
  - apply: {{manifest: {first}}}
  - apply: {{manifest: {second}}}
  - patch: {{kind: Gadget, name: a, patch: {{metadata: {{labels: {{l: m}}}}}}}}
  - scale: {{kind: Gadget, name: a, replicas: 3}}
  - create: {{manifest: {{apiVersion: example.com/v1, kind: Gadget, metadata: {{name: b}}}}}}
  - delete: {{kind: Gadget, apiVersion: example.com/v1, name: b}}
  - create: {{manifest: {{apiVersion: example.com/v1, kind: Widget, metadata: {{name: b}}}}}}"
    );
    let tasks = "
  - id: one
    checks:
      - {id: a, title: {en: A, ko: 에이}, points: 1, resource: {of: {kind: Gadget, name: a}, object: {spec: {size: 3, tags: [y]}, metadata: {labels: {l: m}}}}}
      - {id: b, title: {en: B, ko: 비}, points: 1, resource: {of: {kind: Gadget, apiVersion: example.com/v1, name: b}, absent: true}}
      - {id: n, title: {en: N, ko: 수}, points: 1, count: {of: {kind: Gadget, labelSelector: l=m}, is: 1}}";
    let report = graded("{etcd: {members: 1}, apiServer: {}}", &setup, tasks, &steps);
    let outputs: Vec<&str> =
        report.steps.iter().map(|step| step.error.as_deref().unwrap_or(step.output.as_str())).collect();
    let expected = [
        "gadget.example.com/a created",
        "gadget.example.com/a configured",
        "gadget.example.com/a patched",
        "gadget.example.com/a scaled",
        "gadget.example.com/b created",
        "gadget \"b\" deleted",
        "no matches for kind \"Widget\" in version \"example.com/v1\"",
    ];
    assert_eq!(outputs[outputs.len() - expected.len()..], expected);
    assert!(report.passed(), "{}", report.to_text(labkit_lab::Language::En, 120));
}

#[test]
fn a_skewed_clock_spoils_dates_and_no_lease_and_members_warn_of_it() {
    let tasks = "
  - id: one
    lasts: 40s
    faults:
      - {id: ahead, at: 1s, clockSkew: {target: etcd/leader, by: 10m}}
      - {id: late, at: 1s, clockSkew: {target: node/worker1, by: -10m}}
    checks:
      - {id: kept, title: {en: K, ko: 남}, points: 1, etcd: {keys: [{key: leased}], leaderChanged: false}}
      - id: warned
        title: {en: W, ko: 경}
        points: 1
        trace: {order: [{kind: ClockDrift, text: prober found high clock drift}]}
      - {id: ready, title: {en: R, ko: 준}, points: 1, resource: {of: {kind: Node, name: worker1}, object: {status: {conditions: [{type: Ready, status: 'True'}]}}}}
      - id: renewed
        title: {en: L, ko: 리}
        points: 1
        cel: {cel: 'lease.spec.renewTime.startsWith(\"2025-12-31T23:5\")', objects: {lease: {kind: Lease, name: worker1, namespace: kube-node-lease}}}";
    let steps = "
  - {id: lease, etcdctl: lease grant 45}
  - etcdctl: put leased 1";
    let cluster = "{etcd: {members: 3}, apiServer: {}, controllerManager: {}, nodes: {count: 1}}";
    let report = graded(cluster, " []", &tasks.replace("\\\"", "\""), steps);
    assert!(report.passed(), "{:#?}", report.checks().collect::<Vec<_>>());
    let drifts: Vec<&str> = report
        .timeline
        .iter()
        .filter(|entry| entry.kind == "ClockDrift")
        .map(|entry| entry.text.as_str())
        .collect();
    assert!(drifts.iter().any(|text| text.contains("driftMs=600000")), "{drifts:?}");
    assert!(drifts.iter().any(|text| text.contains("driftMs=-600000")), "{drifts:?}");
}

#[test]
fn a_member_that_was_added_is_started_and_catches_up() {
    let tasks = "
  - id: one
    checks:
      - {id: four, title: {en: F, ko: 넷}, points: 1, eventually: 10s, etcd: {members: 4}}
      - {id: caught-up, title: {en: C, ko: 따}, points: 1, eventually: 10s, cel: 'etcd.members.exists(m, m.name == \"etcd4\" && m.appliedIndex > 2 && m.revision == etcd.revision)'}";
    let steps = "
  - etcdctl: put before 1
  - start: etcd/etcd4
  - wait: 6s
  - etcdctl: member add etcd4 --peer-urls=https://etcd4:2380
  - etcdctl: member list
  - start: etcd/etcd4
  - start: etcd/etcd4
  - wait: 1s
  - etcdctl: member list
  - fault: {id: crash, kill: etcd/etcd4}
  - etcdctl: put meanwhile 1
  - heal: crash";
    let report = graded("{etcd: {members: 3}}", " []", &tasks.replace("\\\"", "\""), steps);
    let steps = &report.steps;
    assert!(report.passed(), "{steps:#?} {:#?}", report.checks().collect::<Vec<_>>());
    let error = |index: usize| steps[index].error.clone().unwrap_or_default();
    assert!(error(1).contains("there is no etcd/etcd4 here"), "{}", error(1));
    assert!(steps[3].output.contains("ETCD_INITIAL_CLUSTER_STATE=\"existing\""), "{}", steps[3].output);
    assert!(steps[4].output.contains(", unstarted, , https://etcd4:2380, , false"), "{}", steps[4].output);
    assert_eq!(steps[5].output, "started etcd/etcd4");
    assert!(error(6).contains("is running already"), "{}", error(6));
    assert!(steps[8].output.contains(", started, etcd4, https://etcd4:2380, "), "{}", steps[8].output);
}

#[test]
fn a_member_that_was_removed_cannot_be_started_until_it_is_added_anew_and_then_begins_empty() {
    let tasks = "
  - id: one
    checks:
      - {id: three, title: {en: T, ko: 셋}, points: 1, eventually: 10s, etcd: {members: 3, leader: true}}
      - {id: caught-up, title: {en: C, ko: 따}, points: 1, eventually: 10s, cel: 'etcd.members.all(m, m.revision == etcd.revision)'}";
    let steps = "
  - etcdctl: put before 1
  - {id: gone, fault: {id: crash, kill: etcd/etcd3}}
  - etcdctl: \"member remove ${etcd.members.filter(m, m.name == 'etcd3')[0].id}\"
  - start: etcd/etcd3
  - wait: 6s
  - etcdctl: member add etcd3 --peer-urls=https://etcd3:2380
  - start: etcd/etcd3";
    let report = graded("{etcd: {members: 3}}", " []", tasks, &steps.replace("\\\"", "\""));
    let steps = &report.steps;
    assert!(report.passed(), "{steps:#?} {:#?}", report.checks().collect::<Vec<_>>());
    assert!(steps[3].error.as_deref().unwrap().contains("there is no etcd/etcd3 here"), "{:?}", steps[3]);
    assert_eq!(steps[6].output, "started etcd/etcd3");
}
