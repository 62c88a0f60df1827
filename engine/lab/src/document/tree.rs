//! YAML into a tree with the place of every key and value. Anything that could hurt is refused on the way:
//! size, depth, what aliases expand to, duplicate keys, tags.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr::{Scalar, ScalarStyle, Tag};
use saphyr_parser::{Event, Parser, Span};
use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;
use crate::text::{Text, text};

/// Bytes of the largest file that is read.
const SIZE_MAX: usize = 1 << 20;
/// Levels of nesting.
const DEPTH_MAX: usize = 48;
/// Values of the largest document, aliases expanded.
const VALUES_MAX: usize = 50_000;
/// Bytes of text that weigh as much as one value.
const TEXT_OF_ONE_VALUE: usize = 256;
/// Levels of nesting in a manifest.
const MANIFEST_DEPTH_MAX: usize = 96;
/// Values of the largest manifest, aliases expanded.
const MANIFEST_VALUES_MAX: usize = 200_000;
/// Problems of one document that are told; whoever has more mends these first.
pub(crate) const PROBLEMS_MAX: usize = 100;

/// A YAML document, its text and where everything stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub file: String,
    pub source: Arc<str>,
    root: Node,
}

#[derive(Debug, Clone)]
struct Node {
    /// In bytes.
    span: Range<usize>,
    /// How many values it holds, itself included.
    values: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    key_span: Range<usize>,
    value: Node,
}

/// Which side of a mapping's entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

impl Document {
    /// Reads the one document of a file. The problems are all that can be told before a schema is known.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Document, Vec<Diagnostic>> {
        if bytes.len() > SIZE_MAX {
            let (size, most) = (bytes.len() >> 10, SIZE_MAX >> 10);
            let size = text!(
                "the file has {size} KiB; at most {most} KiB are read",
                "파일이 {size} KiB 입니다. {most} KiB 까지만 읽습니다"
            );
            let help = Text::new(
                "move data that is not the lab's own out of it",
                "실습의 것이 아닌 데이터는 파일 밖으로 옮기세요",
            );
            return Err(vec![Diagnostic::of_file(file, size).with_help(help)]);
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => return Err(vec![not_utf8(file, bytes, error.valid_up_to())]),
        };
        let source: Arc<str> = text.into();
        let mut reader = Reader::new(file, &source);
        let root = reader.read(text);
        match root {
            Some(root) if reader.problems.is_empty() => Ok(Document { file: file.to_owned(), source, root }),
            _ => Err(reader.problems),
        }
    }

    pub fn value(&self) -> Value {
        self.root.to_value()
    }

    /// Where a JSON pointer points to; the nearest parent that exists, for one that does not.
    pub fn locate(&self, pointer: &str, part: Part) -> Range<usize> {
        let mut node = &self.root;
        let mut span = first_line(&self.source, node.span.clone());
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            match &node.kind {
                Kind::Mapping(entries) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == segment) else { return span };
                    node = &entry.value;
                    span = match (part, &node.kind) {
                        (Part::Value, Kind::Scalar(value)) if !value.is_null() => node.span.clone(),
                        _ => entry.key_span.clone(),
                    };
                }
                Kind::Sequence(items) => {
                    let Some(item) = segment.parse::<usize>().ok().and_then(|index| items.get(index)) else {
                        return span;
                    };
                    node = item;
                    span = first_line(&self.source, node.span.clone());
                }
                Kind::Scalar(_) => return span,
            }
        }
        span
    }

    pub fn problem(&self, pointer: &str, part: Part, message: impl Into<Text>) -> Diagnostic {
        Diagnostic::new(&self.file, &self.source, self.locate(pointer, part), message)
    }
}

impl Node {
    fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Sequence(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Kind::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// What there is too much of in a YAML text of any number of documents: the bounds of a manifest. A text that is no
/// YAML is its reader's to refuse.
pub(crate) fn excess(text: &str) -> Option<Text> {
    let mut anchors: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut total = 0_usize;
    let too_deep = || {
        text!(
            "nested more than {MANIFEST_DEPTH_MAX} levels deep",
            "{MANIFEST_DEPTH_MAX}단계보다 깊이 중첩되었습니다"
        )
    };
    for event in Parser::new_from_str(text) {
        let (event, _) = match event {
            Ok(event) => event,
            // The scanner looks ahead, and may meet its own bound before the events of these levels come.
            Err(error) if error.info().contains("recursion limit") => return Some(too_deep()),
            Err(_) => return None,
        };
        let complete = match event {
            Event::Scalar(text, _, anchor, _) => Some((anchor, 1 + text.len() / TEXT_OF_ONE_VALUE)),
            Event::Alias(anchor) => Some((0, anchors.get(&anchor).copied().unwrap_or(1))),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, 1));
                total += 1;
                None
            }
            Event::SequenceEnd | Event::MappingEnd => {
                // Counted when its parts were.
                let (anchor, values) = open.pop()?;
                total = total.saturating_sub(values);
                Some((anchor, values))
            }
            _ => None,
        };
        if let Some((anchor, values)) = complete {
            total = total.saturating_add(values);
            if anchor != 0 {
                anchors.insert(anchor, values);
            }
            if let Some((_, sum)) = open.last_mut() {
                *sum = sum.saturating_add(values);
            }
        }
        if open.len() > MANIFEST_DEPTH_MAX {
            return Some(too_deep());
        }
        if total > MANIFEST_VALUES_MAX {
            return Some(text!(
                "more than {MANIFEST_VALUES_MAX} values once aliases are expanded",
                "별칭을 펼치면 값이 {MANIFEST_VALUES_MAX}개가 넘습니다"
            ));
        }
    }
    None
}

fn first_line(source: &str, span: Range<usize>) -> Range<usize> {
    let end = source[span.clone()].find('\n').map_or(span.end, |newline| span.start + newline);
    span.start..end
}

fn not_utf8(file: &str, bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    // What is readable up to there, so that the line can be shown.
    let source: Arc<str> = String::from_utf8_lossy(bytes).into();
    let byte = bytes[valid_up_to];
    let message = text!("byte 0x{byte:02x} is not UTF-8", "바이트 0x{byte:02x} 은(는) UTF-8 이 아닙니다");
    let help = Text::new("save the file as UTF-8", "파일을 UTF-8 로 저장하세요");
    Diagnostic::new(file, &source, valid_up_to..valid_up_to + 1, message).with_help(help)
}

/// A collection that is being read.
struct Open {
    start: usize,
    anchor: usize,
    values: usize,
    kind: Kind,
    /// A mapping's key whose value comes next.
    key: Option<(String, Range<usize>)>,
    /// Where each key of a mapping begins.
    keys: BTreeMap<String, usize>,
}

struct Reader<'a> {
    file: &'a str,
    source: &'a Arc<str>,
    /// The byte at which each character begins; empty for ASCII.
    bytes_of_chars: Vec<usize>,
    anchors: BTreeMap<usize, Node>,
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
    problems: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a str, source: &'a Arc<str>) -> Reader<'a> {
        let bytes_of_chars = match source.is_ascii() {
            true => Vec::new(),
            false => source.char_indices().map(|(byte, _)| byte).collect(),
        };
        Reader {
            file,
            source,
            bytes_of_chars,
            anchors: BTreeMap::new(),
            open: Vec::new(),
            root: None,
            values: 0,
            problems: Vec::new(),
        }
    }

    fn read(&mut self, text: &str) -> Option<Node> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax_error(error.marker().index(), error.info());
                    return None;
                }
            };
            let bytes = self.bytes(&span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.problem(
                            bytes,
                            Text::new(
                                "a second document begins here; expected one per file",
                                "여기서 두 번째 문서가 시작됩니다. 파일 하나에 문서 하나여야 합니다",
                            ),
                        );
                        return None;
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let node = self.scalar(text, style, tag.as_deref(), bytes);
                    self.complete(node, anchor);
                }
                Event::SequenceStart(anchor, tag) => {
                    self.begin(Kind::Sequence(Vec::new()), anchor, tag.as_deref(), bytes)
                }
                Event::MappingStart(anchor, tag) => {
                    self.begin(Kind::Mapping(Vec::new()), anchor, tag.as_deref(), bytes)
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(bytes),
                Event::Alias(anchor) => self.alias(anchor, bytes),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
            if self.problems.len() >= PROBLEMS_MAX {
                return None;
            }
            if self.open.len() > DEPTH_MAX || self.values > VALUES_MAX {
                let bytes = self.bytes(&span);
                let message = match self.values > VALUES_MAX {
                    true => text!(
                        "more than {VALUES_MAX} values once aliases are expanded",
                        "별칭을 펼치면 값이 {VALUES_MAX}개가 넘습니다"
                    ),
                    false => text!(
                        "nested more than {DEPTH_MAX} levels deep",
                        "{DEPTH_MAX}단계보다 깊이 중첩되었습니다"
                    ),
                };
                self.problem(bytes, message);
                return None;
            }
        }
        let empty = matches!(&self.root, None | Some(Node { kind: Kind::Scalar(Value::Null), .. }));
        if empty && self.problems.is_empty() {
            self.problem(0..0, Text::new("the file is empty", "파일이 비어 있습니다"));
        }
        self.root.take()
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Range<usize>,
    ) -> Node {
        self.refuse_tag(tag, &span);
        // A long text counts as several, because an alias copies it.
        let values = 1 + text.len() / TEXT_OF_ONE_VALUE;
        self.values += values;
        let value = match Scalar::parse_from_cow_and_metadata(text.clone(), style, None) {
            Some(Scalar::Boolean(value)) => Value::Bool(value),
            Some(Scalar::Integer(value)) => Value::from(value),
            Some(Scalar::FloatingPoint(value)) => Value::from(value.into_inner()),
            Some(Scalar::String(value)) => Value::from(value.into_owned()),
            Some(Scalar::Null) | None => Value::Null,
        };
        Node { span, values, kind: Kind::Scalar(value) }
    }

    fn begin(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, span: Range<usize>) {
        self.refuse_tag(tag, &span);
        self.values += 1;
        self.open.push(Open { start: span.start, anchor, values: 1, kind, key: None, keys: BTreeMap::new() });
    }

    fn end(&mut self, span: Range<usize>) {
        let open = self.open.pop().expect("the parser closes what it opened");
        let node = Node { span: open.start..span.end.max(open.start), values: open.values, kind: open.kind };
        self.complete(node, open.anchor);
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) {
        match self.anchors.get(&anchor) {
            None => {
                let message = Text::new(
                    "an alias within its own anchor",
                    "앵커 안에서 자기 자신을 가리키는 별칭입니다",
                );
                self.problem(span.clone(), message);
                self.complete(Node { span, values: 1, kind: Kind::Scalar(Value::Null) }, 0);
            }
            // Counted before it is copied, so that nested aliases cannot grow without bound.
            Some(node) if self.values + node.values > VALUES_MAX => self.values = VALUES_MAX + 1,
            Some(node) => {
                let node = Node { span, ..node.clone() };
                self.values += node.values;
                self.complete(node, 0);
            }
        }
    }

    fn complete(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.kind {
            Kind::Sequence(items) => {
                open.values += node.values;
                items.push(node);
            }
            Kind::Mapping(entries) => match open.key.take() {
                None => match key_text(&node) {
                    Some(key) => {
                        if let Some(earlier) = open.keys.insert(key.clone(), node.span.start) {
                            let line = self.source[..earlier].matches('\n').count() + 1;
                            let message = text!(
                                "duplicate key `{key}`; it is already at line {line}",
                                "키 `{key}` 이(가) 중복입니다. {line}번째 줄에 이미 있습니다"
                            );
                            self.problems.push(Diagnostic::new(
                                self.file,
                                self.source,
                                node.span.clone(),
                                message,
                            ));
                        }
                        open.key = Some((key, node.span));
                    }
                    None => {
                        open.key = Some((String::new(), node.span.clone()));
                        self.problem(node.span, Text::new("a key must be text", "키는 텍스트여야 합니다"));
                    }
                },
                Some((key, key_span)) => {
                    open.values += node.values;
                    entries.push(Entry { key, key_span, value: node });
                }
            },
            Kind::Scalar(_) => unreachable!("only collections are open"),
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: &Range<usize>) {
        if let Some(tag) = tag {
            let tag = format!("{}{}", tag.handle, tag.suffix);
            let message =
                text!("tags such as `{tag}` are not used here", "여기서는 `{tag}` 같은 태그를 쓰지 않습니다");
            self.problem(span.clone(), message);
        }
    }

    fn syntax_error(&mut self, index: usize, info: &str) {
        let at = self.byte(index);
        let tab = self.source[..at.min(self.source.len())].lines().count().saturating_sub(2);
        let mut offset = 0;
        for (number, line) in self.source.split_inclusive('\n').enumerate() {
            let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
            if number >= tab
                && number <= tab + 2
                && let Some(column) = indent.find('\t')
            {
                let message = Text::new(
                    "a tab in the indentation; YAML is indented with spaces",
                    "들여쓰기에 탭이 있습니다. YAML 은 공백으로 들여씁니다",
                );
                self.problem(offset + column..offset + column + 1, message);
                return;
            }
            offset += line.len();
        }
        self.problem(at..at + 1, text!("not YAML: {info}", "YAML 이 아닙니다: {info}"));
    }

    fn problem(&mut self, span: Range<usize>, message: Text) {
        self.problems.push(Diagnostic::new(self.file, self.source, span, message));
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }

    fn byte(&self, index: usize) -> usize {
        match self.bytes_of_chars.is_empty() {
            true => index.min(self.source.len()),
            false => self.bytes_of_chars.get(index).copied().unwrap_or(self.source.len()),
        }
    }
}

fn key_text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar(Value::String(text)) => Some(text.clone()),
        Kind::Scalar(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_bounded_in_depth_and_in_what_aliases_expand_to() {
        let bomb = |levels: usize| {
            let level = |n: usize| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
            format!("a0: &a0 [x, x]\n{}", (1..levels).map(level).collect::<String>())
        };
        assert_eq!(excess(&bomb(4)), None);
        assert!(excess(&bomb(12)).unwrap().en.contains("aliases"));
        assert!(excess(&"{a: ".repeat(100_000)).unwrap().en.contains("levels deep"));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 18), "*a, ".repeat(1000));
        assert!(excess(&long).unwrap().en.contains("aliases"));
        assert_eq!(excess(&format!("---\n{}", "a: {b: [c, d]}\n---\n".repeat(1000))), None);
        assert_eq!(excess("a: [b"), None, "no YAML");
    }
}
