//! `put`, `get`, `del` and `compaction`.

use bytes::Bytes;

use super::args::{Args, Flag, Format};
use super::{Failure, print};
use crate::api::{DeleteRangeRequest, PutRequest, RangeRequest, SortOrder, SortTarget, prefix_range};
use crate::client::Client;

const FORMATS: &[Format] = &[Format::Simple, Format::Fields, Format::Json];

pub(super) const PUT_FLAGS: &[Flag] = &[
    Flag::value("lease"),
    Flag::switch("prev-kv"),
    Flag::switch("ignore-value"),
    Flag::switch("ignore-lease"),
];

pub(super) const GET_FLAGS: &[Flag] = &[
    Flag::value("consistency"),
    Flag::switch("from-key"),
    Flag::switch("keys-only"),
    Flag::switch("count-only"),
    Flag::value("limit"),
    Flag::value("order"),
    Flag::switch("prefix"),
    Flag::switch("print-value-only"),
    Flag::value("rev"),
    Flag::value("sort-by"),
];

pub(super) const DEL_FLAGS: &[Flag] =
    &[Flag::switch("from-key"), Flag::switch("prefix"), Flag::switch("prev-kv")];

pub(super) async fn put(client: &Client, args: &Args) -> Result<String, Failure> {
    let ignore_value = args.is_set("ignore-value");
    let (key, value) = match args.positional.as_slice() {
        [key] if ignore_value => (key, String::new()),
        [key, value] if !ignore_value => (key, value.clone()),
        _ => {
            return Err(Failure::bad_args(
                "put command requires 1 argument and input from stdin or 2 arguments.",
            ));
        }
    };
    let lease = match args.text("lease") {
        None => 0,
        Some(id) => super::lease::id_of(id)?,
    };
    let request = PutRequest {
        lease,
        prev_kv: args.is_set("prev-kv"),
        ignore_value,
        ignore_lease: args.is_set("ignore-lease"),
        ..PutRequest::new(key.clone(), value)
    };
    let format = args.format(FORMATS)?;
    let response = client.put(request).await?;
    let mut out = String::new();
    match format {
        Format::Json => {
            let prev_kv = response.prev_kv.as_ref().map(print::key_value);
            let object =
                print::object([("header", print::header(&response.header)), ("prev_kv", prev_kv.into())]);
            out = format!("{object}\n");
        }
        Format::Fields => {
            print::header_fields(&mut out, &response.header);
            response.prev_kv.iter().for_each(|kv| print::key_value_fields(&mut out, kv));
        }
        Format::Simple | Format::Table => {
            out.push_str("OK\n");
            response.prev_kv.iter().for_each(|kv| print::simple(&mut out, kv, false));
        }
    }
    Ok(out)
}

pub(super) async fn get(client: &Client, args: &Args) -> Result<String, Failure> {
    let format = args.format(FORMATS)?;
    if args.is_set("count-only") && !matches!(format, Format::Fields | Format::Json) {
        return Err(Failure::bad_args("--count-only is only for `--write-out=fields`"));
    }
    let response = client.range(get_request(args)?).await?;
    let mut out = String::new();
    match format {
        Format::Json => {
            let kvs: Vec<_> = response.kvs.iter().map(print::key_value).collect();
            let object = print::object([
                ("header", print::header(&response.header)),
                ("kvs", kvs.into()),
                ("more", response.more.into()),
                ("count", response.count.into()),
            ]);
            out = format!("{object}\n");
        }
        Format::Fields => {
            print::header_fields(&mut out, &response.header);
            response.kvs.iter().for_each(|kv| print::key_value_fields(&mut out, kv));
            print::field(&mut out, "More", response.more);
            print::field(&mut out, "Count", response.count);
        }
        Format::Simple | Format::Table => {
            let values_only = args.is_set("print-value-only");
            response.kvs.iter().for_each(|kv| print::simple(&mut out, kv, values_only));
        }
    }
    Ok(out)
}

fn get_request(args: &Args) -> Result<RangeRequest, Failure> {
    let serializable = match args.text("consistency") {
        None | Some("l") => false,
        Some("s") => true,
        Some(other) => return Err(Failure::bad_args(format!("unknown consistency flag {other:?}"))),
    };
    let sort_order = match args.text("order").map(str::to_uppercase).as_deref() {
        None => SortOrder::None,
        Some("ASCEND") => SortOrder::Ascend,
        Some("DESCEND") => SortOrder::Descend,
        Some(other) => return Err(Failure::bad_args(format!("bad sort order {other}"))),
    };
    let sort_target = match args.text("sort-by").map(str::to_uppercase).as_deref() {
        None | Some("KEY") => SortTarget::Key,
        Some("VERSION") => SortTarget::Version,
        Some("CREATE") => SortTarget::Create,
        Some("MODIFY") => SortTarget::Mod,
        Some("VALUE") => SortTarget::Value,
        Some(other) => return Err(Failure::bad_args(format!("bad sort target {other}"))),
    };
    let usage = "get command needs one argument as key and an optional argument as range_end";
    let (key, range_end) = keys(args, usage)?;
    Ok(RangeRequest {
        key,
        range_end,
        limit: args.number("limit")?,
        revision: args.number("rev")?,
        sort_order,
        sort_target,
        serializable,
        keys_only: args.is_set("keys-only"),
        count_only: args.is_set("count-only"),
        ..RangeRequest::default()
    })
}

pub(super) async fn del(client: &Client, args: &Args) -> Result<String, Failure> {
    let usage = "del command needs one argument as key and an optional argument as range_end";
    let (key, range_end) = keys(args, usage)?;
    let request = DeleteRangeRequest { key, range_end, prev_kv: args.is_set("prev-kv") };
    let format = args.format(FORMATS)?;
    let response = client.delete_range(request).await?;
    let mut out = String::new();
    match format {
        Format::Json => {
            let prev_kvs: Vec<_> = response.prev_kvs.iter().map(print::key_value).collect();
            let object = print::object([
                ("header", print::header(&response.header)),
                ("deleted", response.deleted.into()),
                ("prev_kvs", prev_kvs.into()),
            ]);
            out = format!("{object}\n");
        }
        Format::Fields => {
            print::header_fields(&mut out, &response.header);
            print::field(&mut out, "Deleted", response.deleted);
            response.prev_kvs.iter().for_each(|kv| print::key_value_fields(&mut out, kv));
        }
        Format::Simple | Format::Table => {
            out = format!("{}\n", response.deleted);
            response.prev_kvs.iter().for_each(|kv| print::simple(&mut out, kv, false));
        }
    }
    Ok(out)
}

/// The keys that `get` and `del` mean.
fn keys(args: &Args, usage: &str) -> Result<(Bytes, Bytes), Failure> {
    let (prefix, from_key) = (args.is_set("prefix"), args.is_set("from-key"));
    if prefix && from_key {
        let message = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
        return Err(Failure::bad_args(message));
    }
    let zero = Bytes::from_static(b"\0");
    match args.positional.as_slice() {
        [_, _] if prefix || from_key => Err(Failure::bad_args(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )),
        [key, end] => Ok((key.clone().into(), end.clone().into())),
        [key] if prefix => Ok(prefix_range(key.clone().into())),
        [key] if from_key && key.is_empty() => Ok((zero.clone(), zero)),
        [key] if from_key => Ok((key.clone().into(), zero)),
        [key] => Ok((key.clone().into(), Bytes::new())),
        _ => Err(Failure::bad_args(usage)),
    }
}

pub(super) async fn compaction(client: &Client, args: &Args) -> Result<String, Failure> {
    args.format(&[Format::Simple])?;
    let [revision] = args.positional.as_slice() else {
        return Err(Failure::bad_args("compaction command needs 1 argument"));
    };
    let revision: i64 = revision.parse().map_err(|_| Failure::new(format!("bad revision {revision:?}")))?;
    client.compact(revision).await?;
    Ok(format!("compacted revision {revision}\n"))
}
