"""The official Python client, unchanged: create, patch, watch, read the log, delete."""

import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
labels = {"app": "web"}
container = client.V1Container(name="web", image="nginx:1.27", ports=[client.V1ContainerPort(container_port=80)])
deployment = client.V1Deployment(
    metadata=client.V1ObjectMeta(name="web"),
    spec=client.V1DeploymentSpec(
        replicas=1,
        selector=client.V1LabelSelector(match_labels=labels),
        template=client.V1PodTemplateSpec(
            metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
        ),
    ),
)

print("version", client.VersionApi().get_code().git_version)
print("nodes", [node.metadata.name for node in core.list_node().items])
made = apps.create_namespaced_deployment("default", deployment)
print("created", made.metadata.name, made.spec.strategy.type)


def until_ready(replicas):
    for event in watch.Watch().stream(
        apps.list_namespaced_deployment, "default", field_selector="metadata.name=web", timeout_seconds=60
    ):
        if event["object"].status.ready_replicas == replicas:
            print("watched", event["object"].metadata.name, replicas)
            return
    raise SystemExit(f"never {replicas} ready")


until_ready(1)
patched = apps.patch_namespaced_deployment("web", "default", {"spec": {"replicas": 2}})
print("patched", patched.spec.replicas, patched.metadata.generation)
until_ready(2)
scale = apps.read_namespaced_deployment_scale("web", "default")
print("scale", scale.spec.replicas, scale.status.selector)
pods = core.list_namespaced_pod("default", label_selector="app=web", limit=1)
print("page", len(pods.items), bool(pods.metadata._continue))
print("log", "start worker" in core.read_namespaced_pod_log(pods.items[0].metadata.name, "default"))

try:
    apps.create_namespaced_deployment("default", deployment)
except ApiException as refused:
    print("refused", refused.status, refused.reason)
settings = client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="c-"), data={"a": "1"})
settings = core.create_namespaced_config_map("default", settings)
settings.data["a"] = "2"
settings = core.replace_namespaced_config_map(settings.metadata.name, "default", settings)
print("replaced", settings.data)
review = client.V1SelfSubjectAccessReview(
    spec=client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace="default")
    )
)
print("may", client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed)

gone = threading.Event()


def see_the_end():
    version = apps.list_namespaced_deployment("default").metadata.resource_version
    ready.set()
    for event in watch.Watch().stream(
        apps.list_namespaced_deployment, "default", resource_version=version, timeout_seconds=60
    ):
        if event["type"] == "DELETED":
            gone.set()
            return


ready = threading.Event()
watcher = threading.Thread(target=see_the_end)
watcher.start()
ready.wait()
apps.delete_namespaced_deployment("web", "default", propagation_policy="Background")
watcher.join()
print("deleted", gone.is_set())
