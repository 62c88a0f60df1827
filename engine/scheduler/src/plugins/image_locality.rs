//! ImageLocality: points for nodes that have the pod's images, more for large ones and for those that many
//! nodes have. Counterpart: `plugins/imagelocality`.

use crate::cache::{NodeInfo, PodInfo};
use crate::framework::{MAX_NODE_SCORE, ScorePlugin};

pub(super) struct ImageLocality;

const MEGABYTE: i64 = 1024 * 1024;
/// Less than this is quickly pulled anywhere.
const MIN_THRESHOLD: i64 = 23 * MEGABYTE;
/// More than this, per container, makes no more difference.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MEGABYTE;

impl ScorePlugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, nodes: &[&NodeInfo]) -> i64 {
        let Some(spec) = &pod.pod.spec else { return 0 };
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        let images: Vec<String> =
            containers.filter_map(|container| container.image.as_deref()).map(tagged).collect();
        let sum: i64 = images.iter().map(|image| scaled_size(image, node, nodes)).sum();
        let max = MAX_CONTAINER_THRESHOLD * (images.len() as i64).max(1);
        MAX_NODE_SCORE * (sum.clamp(MIN_THRESHOLD, max) - MIN_THRESHOLD) / (max - MIN_THRESHOLD)
    }
}

/// The image's size on the node, times the share of nodes that have it: so that not all pods of an image
/// gather on the one node that had it first.
fn scaled_size(image: &str, node: &NodeInfo, nodes: &[&NodeInfo]) -> i64 {
    let Some(size) = node.images.get(image) else { return 0 };
    let holders = nodes.iter().filter(|node| node.images.contains_key(image)).count();
    (*size as f64 * (holders as f64 / nodes.len().max(1) as f64)) as i64
}

/// The name with `:latest` when it has no tag.
fn tagged(image: &str) -> String {
    let has_tag = image.rfind(':') > image.rfind('/');
    if has_tag { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, node_info, pod};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_large_image_that_is_there_gives_points() {
        let images = json!({"status": {"images": [{"names": ["db:16"], "sizeBytes": 500 * MEGABYTE}]}});
        let nodes = [node_info(node("n1", images), &[]), node_info(node("n2", json!({})), &[])];
        let info = PodInfo::new(Arc::new(pod("a", json!({"containers": [{"name": "c", "image": "db:16"}]}))));
        let all: Vec<&NodeInfo> = nodes.iter().collect();
        let scores: Vec<i64> = nodes.iter().map(|node| ImageLocality.score(&info, node, &all)).collect();
        assert_eq!(scores, [23, 0], "(500 / 2 - 23) / (1000 - 23)");
    }

    #[test]
    fn a_name_without_a_tag_means_latest() {
        assert_eq!(tagged("nginx"), "nginx:latest");
        assert_eq!(tagged("localhost:5000/nginx"), "localhost:5000/nginx:latest");
        assert_eq!(tagged("localhost:5000/nginx:1.27"), "localhost:5000/nginx:1.27");
    }
}
