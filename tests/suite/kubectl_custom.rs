//! Real kubectl against a live cluster: custom resources, from the definition of upstream's documentation to its end.

use labkit_cluster::ClusterSpec;
use labkit_tests::live::{Live, has, live};

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.labelSelector}
    additionalPrinterColumns:
    - {name: Spec, type: string, description: The cron spec defining the interval a CronJob is run, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, description: The number of jobs launched by the CronJob, jsonPath: .spec.replicas}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A table of jobs.
        properties:
          spec:
            type: object
            required: [cronSpec]
            x-kubernetes-validations:
            - {rule: "self.minReplicas <= self.replicas", message: replicas should be greater than or equal to minReplicas}
            - {rule: "self.image == oldSelf.image", message: image is immutable, fieldPath: .image}
            properties:
              cronSpec: {type: string, pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$', description: When to run.}
              image: {type: string, default: my-awesome-cron-image}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
              minReplicas: {type: integer, default: 0}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, size: {type: integer}}}
          status:
            type: object
            properties: {replicas: {type: integer}, labelSelector: {type: string}}
"#;

const CRON_TAB: &str = r#"
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: my-new-cron-object}
spec: {cronSpec: "* * * * */5", image: nginx}
"#;

/// What is done, its exit code, and what is printed of it.
const TABLE: &[(&str, i32, &str)] = &[
    (
        "get crd crontabs.stable.example.com -o name",
        0,
        "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com",
    ),
    (
        "api-resources --api-group=stable.example.com --no-headers",
        0,
        "crontabs ct stable.example.com/v1 true CronTab",
    ),
    ("explain crontab.spec.cronSpec", 0, "FIELD: cronSpec <string>"),
    ("explain crontab.spec", 0, "parts <[]Object>"),
    ("explain crontab", 0, "A table of jobs."),
    ("apply -f CRON_TAB", 0, "crontab.stable.example.com/my-new-cron-object created"),
    ("apply -f CRON_TAB", 0, "crontab.stable.example.com/my-new-cron-object unchanged"),
    ("get ct", 0, "NAME SPEC REPLICAS AGE my-new-cron-object * * * * */5 1"),
    ("get all -o name", 0, "crontab.stable.example.com/my-new-cron-object"),
    ("get ct my-new-cron-object -o jsonpath={.spec.replicas}{.metadata.generation}", 0, "11"),
    ("describe ct my-new-cron-object", 0, "Cron Spec: * * * * */5"),
    ("patch ct my-new-cron-object --type=merge -p {\"spec\":{\"replicas\":3}}", 0, "patched"),
    (
        "patch ct my-new-cron-object --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":4}]",
        0,
        "patched",
    ),
    (
        "patch ct my-new-cron-object -p {\"spec\":{\"replicas\":3}}",
        1,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml",
    ),
    (
        "patch ct my-new-cron-object --type=merge -p {\"spec\":{\"replicas\":15}}",
        1,
        "The CronTab \"my-new-cron-object\" is invalid: spec.replicas: Invalid value: 15: spec.replicas in body should be less \
         than or equal to 10",
    ),
    (
        "patch ct my-new-cron-object --type=merge -p {\"spec\":{\"minReplicas\":9}}",
        1,
        "The CronTab \"my-new-cron-object\" is invalid: spec: Invalid value: \"object\": replicas should be greater than or \
         equal to minReplicas",
    ),
    (
        "patch ct my-new-cron-object --type=merge -p {\"spec\":{\"image\":\"other\"}}",
        1,
        "spec.image: Invalid value: \"object\": image is immutable",
    ),
    ("scale ct my-new-cron-object --replicas=5", 0, "crontab.stable.example.com/my-new-cron-object scaled"),
    ("get ct my-new-cron-object -o jsonpath={.spec.replicas}", 0, "5"),
    (
        "patch ct my-new-cron-object --subresource=status --type=merge -p {\"status\":{\"replicas\":2}}",
        0,
        "patched",
    ),
    ("get ct my-new-cron-object --subresource=scale -o jsonpath={.status.replicas}", 0, "2"),
    ("create -f WRONG", 1, "strict decoding error: unknown field \"spec.image2\""),
    ("create -f WRONG --validate=false", 1, "spec.cronSpec: Required value"),
    ("create -f UNKNOWN --validate=warn", 0, "Warning: unknown field \"spec.someRandomField\""),
    (
        "get ct pruned -o jsonpath={.spec}",
        0,
        "{\"cronSpec\":\"* * * * 5\",\"image\":\"my-awesome-cron-image\",\"minReplicas\":0,\"replicas\":1}",
    ),
    (
        "apply --server-side --field-manager=one -f APPLIED",
        0,
        "crontab.stable.example.com/applied serverside-applied",
    ),
    (
        "apply --server-side --field-manager=two -f CONFLICT",
        1,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.parts[name=\"a\"].size",
    ),
    ("apply --server-side --field-manager=two --force-conflicts -f CONFLICT", 0, "serverside-applied"),
    ("get ct applied -o jsonpath={.spec.parts}", 0, "[{\"name\":\"a\",\"size\":2}]"),
    ("label ct applied tier=front", 0, "crontab.stable.example.com/applied labeled"),
    ("get ct -l tier=front -o name", 0, "crontab.stable.example.com/applied"),
    ("delete ct applied", 0, "crontab.stable.example.com \"applied\" deleted"),
    (
        "create -f BROKEN",
        1,
        "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields",
    ),
];

/// Files that the table names.
const FILES: &[(&str, &str)] = &[
    ("CRON_TAB", CRON_TAB),
    (
        "WRONG",
        "{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: wrong}, spec: {image2: x}}",
    ),
    (
        "UNKNOWN",
        "{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: pruned}, spec: {cronSpec: '* * * * 5', someRandomField: 42}}",
    ),
    (
        "APPLIED",
        "{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: applied}, spec: {cronSpec: '* * * * 5', parts: [{name: a, size: 1}]}}",
    ),
    (
        "CONFLICT",
        "{apiVersion: stable.example.com/v1, kind: CronTab, metadata: {name: applied}, spec: {parts: [{name: a, size: 2}]}}",
    ),
    (
        "BROKEN",
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: as.example.com}, spec: {group: example.com, \
         scope: Cluster, names: {plural: as, kind: A}, versions: [{name: v1, served: true, storage: true, \
         schema: {openAPIV3Schema: {type: object, properties: {spec: {}}}}}]}}",
    ),
];

/// A file that begins with a brace would be taken for JSON.
fn yaml(live: &Live, name: &str, text: &str) -> String {
    live.file(&format!("{name}.yaml"), &format!("---\n{text}"))
}

async fn define(live: &Live) {
    let file = live.file("definition.yaml", DEFINITION);
    let created = live.kubectl_ok(&format!("apply -f {file}")).await;
    assert_eq!(
        created,
        "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created\n"
    );
    let waited = live
        .kubectl_ok("wait --for=condition=established crd/crontabs.stable.example.com --timeout=20s")
        .await;
    assert_eq!(
        waited,
        "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com condition met\n"
    );
}

#[test]
fn kubectl_plays_through_the_life_of_a_custom_kind() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        define(&live).await;
        let files: Vec<(&str, String)> =
            FILES.iter().map(|(name, text)| (*name, yaml(&live, name, text))).collect();
        for (command, code, expected) in TABLE {
            let words: Vec<&str> = command
                .split(' ')
                .map(|word| {
                    files.iter().find(|(name, _)| *name == word).map_or(word, |(_, path)| path.as_str())
                })
                .collect();
            let printed = live.kubectl(&words.join(" ")).await;
            let all = format!("{}{}", printed.stdout, printed.stderr);
            let said = all.split_whitespace().collect::<Vec<&str>>().join(" ");
            assert!(
                printed.code == *code && said.contains(expected),
                "kubectl {command}: {} {all}",
                printed.code
            );
        }
        let mut lines = live.kubectl_lines("get ct --watch-only -o name");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        live.kubectl_ok("label ct pruned watched=yes").await;
        lines.line_with("crontab.stable.example.com/pruned").await;
        live.kubectl_ok("delete crd crontabs.stable.example.com --timeout=30s").await;
        assert_eq!(live.kubectl("get crontabs").await.code, 1);
        assert_eq!(live.kubectl_ok("api-resources --api-group=stable.example.com --no-headers").await, "");
    });
}

/// Whatever owns and is owned is found by the garbage collector; a namespace takes its custom objects along.
#[test]
fn custom_objects_go_with_their_owner_and_with_their_namespace() {
    if !has("kubectl") {
        return;
    }
    live(ClusterSpec::whole(1, 1), |live| async move {
        define(&live).await;
        let file = live.file("cron.yaml", CRON_TAB);
        live.kubectl_ok("create namespace team").await;
        for namespace in ["team", "default"] {
            live.kubectl_ok(&format!("apply -n {namespace} -f {file}")).await;
        }
        let uid = live.kubectl_ok("get ct my-new-cron-object -o jsonpath={.metadata.uid}").await;
        let owned = format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owned, ownerReferences: [{{apiVersion: stable.example.com/v1, \
             kind: CronTab, name: my-new-cron-object, uid: {uid}}}]}}}}"
        );
        let owned = yaml(&live, "owned", &owned);
        live.kubectl_ok(&format!("create -f {owned}")).await;
        live.kubectl_ok("delete ct my-new-cron-object").await;
        let gone = || async {
            let left = live.kubectl_ok("get configmap owned -o name --ignore-not-found").await;
            left.is_empty().then_some(())
        };
        live.until("the config map goes with its owner", gone).await;
        live.kubectl_ok("delete namespace team --timeout=50s").await;
        assert_eq!(live.kubectl_ok("get ct -A -o name").await, "");
    });
}
