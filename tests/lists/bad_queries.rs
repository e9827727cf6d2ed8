//! Queries that mean nothing, each with the words that name the fault.

use super::{app, refused};

/// The query of a list of items, and what is said about it; all are 400.
const BAD_QUERIES: &[(&str, &str, &str)] = &[
    ("wrod=x", "BAD_QUERY", "`wrod` is not a field of Item; did you mean `word`?"),
    ("page=2", "BAD_QUERY", "`page` is not a field of Item; pages of a list come with `limit` and `cursor`"),
    ("order=word", "BAD_QUERY", "lists are sorted as in `sort=-priority,title`"),
    ("q=x", "BAD_QUERY", "or find words with `search`"),
    ("sort=wrod", "BAD_QUERY", "`sort`: `wrod` is not a field of Item; did you mean `word`?"),
    ("sort=word,asc", "BAD_QUERY", "`sort`: `asc` is not a field of Item; ascending is `sort=title`"),
    ("fields=wrod", "BAD_QUERY", "`fields`: `wrod` is not a field of Item"),
    ("created=x", "BAD_QUERY", "`created` is not a field of Item"),
    ("create_at[gt]=x", "BAD_QUERY", "did you mean `created_at`?"),
    ("nmber[gt]=1", "BAD_QUERY", "did you mean `number`?"),
    ("=x", "BAD_QUERY", "`` is not a field"),
    ("[gt]=1", "BAD_QUERY", "`` is not a field"),
    ("number[ge]=1", "BAD_QUERY", "no operator `ge`; did you mean `gte`?"),
    ("number[neq]=1", "BAD_QUERY", "did you mean `ne`?"),
    ("number[GT]=1", "BAD_QUERY", "did you mean `gt`?"),
    ("word[start]=a", "BAD_QUERY", "did you mean `starts`?"),
    ("word[endsWith]=a", "BAD_QUERY", "did you mean `ends`?"),
    ("word[suffix]=a", "BAD_QUERY", "did you mean `ends`?"),
    ("number[ends]=1", "BAD_QUERY", "its values are not texts"),
    ("word[like]=a", "BAD_QUERY", "did you mean `contains`?"),
    ("word[matches]=a", "BAD_QUERY", "eq, ne, gt, gte, lt, lte, in, contains, starts, ends, null"),
    ("word[]=a", "BAD_QUERY", "no operator ``"),
    ("word[eq=a", "BAD_QUERY", "must end with `]`"),
    ("word[eq]x=a", "BAD_QUERY", "must end with `]`"),
    ("word[eq][ne]=a", "BAD_QUERY", "no operator `eq][ne`"),
    ("number=1&number=2", "BAD_QUERY", "`number` is given twice"),
    ("number=1&number[eq]=2", "BAD_QUERY", "`number[eq]` is given twice"),
    ("number[gt]=1&number[gt]=1", "BAD_QUERY", "`number[gt]` is given twice"),
    ("number[gt]=", "BAD_QUERY", "`number[gt]` must be a number"),
    ("number[gt]=one", "BAD_QUERY", "`number[gt]` must be a number"),
    ("number[gt]=1.5", "BAD_QUERY", "must be an int, not 1.5"),
    ("number[in]=1,x", "BAD_QUERY", "`number[in]` must be a number"),
    ("number[in]=1,,2", "BAD_QUERY", "`number[in]` must be a number"),
    ("number=9007199254740993", "BAD_QUERY", "9007199254740991"),
    ("ratio=NaN", "BAD_QUERY", "`ratio` must be a number"),
    ("ratio[lt]=1e999", "BAD_QUERY", "`ratio[lt]`"),
    ("kind[in]=red,gren", "BAD_QUERY", "did you mean `green`?"),
    ("kind[ne]=", "BAD_QUERY", "must be one of red, green, blue"),
    ("on[gt]=true", "BAD_QUERY", "`on[gt]` is not possible: its values have no order"),
    ("on=yes", "BAD_QUERY", "`on` must be true or false"),
    ("on[contains]=t", "BAD_QUERY", "its values are not texts"),
    ("token[lt]=0190a000-0000-7000-8000-0000000000ff", "BAD_QUERY", "its values have no order"),
    ("folder[gte]=0190a000-0000-7000-8000-0000000000ff", "BAD_QUERY", "its values have no order"),
    ("folder=x", "BAD_QUERY", "`folder` must be an id: `x` is not a UUID"),
    ("id[in]=x", "BAD_QUERY", "`id[in]` must be an id"),
    ("number[contains]=1", "BAD_QUERY", "its values are not texts"),
    ("version[starts]=1", "BAD_QUERY", "its values are not texts"),
    ("created_at[starts]=2026", "BAD_QUERY", "its values are not texts"),
    ("created_at[gt]=yesterday", "BAD_QUERY", "`created_at[gt]` must be a datetime"),
    ("updated_at[lt]=2026-11-21", "BAD_QUERY", "2026-11-21T08:00:00Z"),
    ("at[gte]=2026-11-21T08:00:00", "BAD_QUERY", "with an offset"),
    ("at[gte]=2026-11-21T08:00:00+01:00", "BAD_QUERY", "a `+` is written `%2B` in an address"),
    ("created_at[lt]=2026-11-21T08:00:00.5+01:00", "BAD_QUERY", "a `+` is written `%2B` in an address"),
    (
        "at[in]=2026-11-21T08:00:00Z,2026-11-21T08:00:00+01:00",
        "BAD_QUERY",
        "a `+` is written `%2B` in an address",
    ),
    ("ratio[gt]=1e+2", "BAD_QUERY", "a `+` is written `%2B` in an address"),
    ("day[gte]=2026-02-30", "BAD_QUERY", "`day[gte]` must be a date"),
    ("extra=1", "BAD_QUERY", "a json field can only be filtered by `null`"),
    ("extra[contains]=1", "BAD_QUERY", "a json field can only be filtered by `null`"),
    ("word[null]=", "BAD_QUERY", "`word[null]` must be true or false"),
    ("word[null]=1", "BAD_QUERY", "`word[null]` must be true or false"),
    ("word[in]=a\\b", "BAD_QUERY", "backslash"),
    ("word[in]=a\\", "BAD_QUERY", "backslash"),
    ("word=a%00", "BAD_QUERY", "U+0000"),
    ("word[contains]=%00", "BAD_QUERY", "U+0000"),
    ("word[starts]=%FF", "BAD_QUERY", "UTF-8"),
    ("sort=extra", "BAD_QUERY", "cannot be sorted by"),
    ("sort=wrod", "BAD_QUERY", "did you mean `word`?"),
    ("sort=word,-word", "BAD_QUERY", "`sort` names `word` twice"),
    (
        "sort=word,note,kind,number,ratio,on,day,at,token,folder,version",
        "BAD_QUERY",
        "`sort` names more than 10 fields",
    ),
    ("search=", "BAD_QUERY", "`search` holds no word"),
    ("search=+++", "BAD_QUERY", "`search` holds no word"),
    ("search=%22*%22+-+()", "BAD_QUERY", "`search` holds no word"),
    ("search=%F0%9F%8C%8A", "BAD_QUERY", "`search` holds no word"),
    ("search=a%00", "BAD_QUERY", "U+0000"),
    ("search=a&search=b", "BAD_QUERY", "`search` is given twice"),
    ("search=1+2+3+4+5+6+7+8+9+10+11+12+13+14+15+16+17+18+19+20+21", "BAD_QUERY", "more than 20 words"),
    ("fields=", "BAD_QUERY", "`fields` names no field"),
    ("fields=word,", "BAD_QUERY", "`` is not a field"),
    ("fields=wrod", "BAD_QUERY", "did you mean `word`?"),
    ("fields=word,word", "BAD_QUERY", "`fields` names `word` twice"),
    ("expand=", "BAD_QUERY", "`expand` names no reference"),
    ("expand=foldr", "BAD_QUERY", "`foldr` is not a ref field of Item; did you mean `folder`?"),
    ("expand=word", "BAD_QUERY", "`word` is not a ref field of Item; it has folder"),
    ("expand=folder.name", "BAD_QUERY", "`name` is not a ref field of Folder; it has parent, keeper"),
    ("expand=folder.keeper.name", "BAD_QUERY", "`name` is not a ref field of User, which has no ref field"),
    ("expand=folder.parent.parent.parent", "BAD_QUERY", "more than 3 references"),
    ("expand=folder.", "BAD_QUERY", "`` is not a ref field of Folder"),
    (
        "expand=folder,folder,folder,folder,folder,folder,folder,folder,folder,folder,folder",
        "BAD_QUERY",
        "more than 10 paths",
    ),
    ("group=kind", "BAD_QUERY", "`group` cannot be combined with a list"),
    ("cursor=nonsense&number=1", "BAD_CURSOR", "these filters"),
];

const BAD_COUNTS: &[(&str, &str)] = &[
    ("sort=word", "`sort` cannot be combined with a count"),
    ("limit=5", "`limit` cannot be combined with a count"),
    ("cursor=x", "`cursor` cannot be combined with a count"),
    ("fields=word", "`fields` cannot be combined with a count"),
    ("expand=folder", "`expand` cannot be combined with a count"),
    ("group=", "`` is not a field"),
    ("group=knd", "did you mean `kind`?"),
    ("group=extra", "`extra` is a json field and cannot be grouped by"),
    ("group=kind&group=on", "`group` is given twice"),
    ("number[gt]=x", "`number[gt]` must be a number"),
    ("search=!", "`search` holds no word"),
];

#[tokio::test]
async fn a_bad_query_gets_an_error_that_names_the_mistake() {
    let app = app().await;
    let api = app.client();
    for (query, code, words) in BAD_QUERIES {
        let (status, told, detail) = refused(&api, &format!("/api/items?{query}")).await;
        assert_eq!((status, told.as_str()), (400, *code), "{query}: {detail}");
        assert!(detail.contains(words), "{query}: `{words}` is not in {detail}");
        assert!(!detail.contains("SQL") && detail.len() < 250, "{query}: {detail}");
    }
    for (query, words) in BAD_COUNTS {
        let (status, told, detail) = refused(&api, &format!("/api/items/count?{query}")).await;
        assert_eq!((status, told.as_str()), (400, "BAD_QUERY"), "{query}: {detail}");
        assert!(detail.contains(words), "{query}: `{words}` is not in {detail}");
    }
}

#[tokio::test]
async fn errors_about_size_name_the_limit() {
    let app = app().await;
    let api = app.client();
    let fields = ["word", "note", "kind", "number", "ratio", "on", "day", "at", "token", "folder"];
    let operators = ["eq", "ne", "in", "contains", "starts", "ends", "null", "gt"];
    let asked = |field: &str, operator: &str| match (field, operator) {
        (_, "null") => Some(format!("{field}[null]=true")),
        ("word" | "note" | "kind" | "day" | "at", "contains" | "starts" | "ends") => {
            Some(format!("{field}[{operator}]=x"))
        }
        ("word" | "note", _) => Some(format!("{field}[{operator}]=x")),
        ("number" | "ratio", "eq" | "ne" | "in" | "gt") => Some(format!("{field}[{operator}]=1")),
        ("kind", "eq" | "ne" | "in" | "gt") => Some(format!("{field}[{operator}]=red")),
        ("on", "eq" | "ne" | "in") => Some(format!("{field}[{operator}]=true")),
        ("day", "eq" | "ne" | "in" | "gt") => Some(format!("{field}[{operator}]=2026-11-21")),
        ("token" | "folder", "contains" | "starts" | "ends") => Some(format!("{field}[{operator}]=0")),
        _ => None,
    };
    let all: Vec<String> = fields
        .iter()
        .flat_map(|field| operators.iter().filter_map(|operator| asked(field, operator)))
        .collect();
    assert!(all.len() > 50, "{}", all.len());
    assert_eq!(refused(&api, &format!("/api/items?{}", all[..50].join("&"))).await.0, 200);
    let (status, code, detail) = refused(&api, &format!("/api/items?{}", all[..51].join("&"))).await;
    assert_eq!((status, code.as_str()), (400, "BAD_QUERY"));
    assert!(detail.contains("more than 50 filters"), "{detail}");

    let values = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(refused(&api, &format!("/api/items?number[in]={}", values(500))).await.0, 200);
    let (_, _, detail) = refused(&api, &format!("/api/items?number[in]={}", values(501))).await;
    assert!(detail.contains("`number[in]` has 501 values; at most 500 fit"), "{detail}");

    assert_eq!(refused(&api, &format!("/api/items?search={}", "x".repeat(256))).await.0, 200);
    let (_, _, detail) = refused(&api, &format!("/api/items?search={}", "ä".repeat(257))).await;
    assert!(detail.contains("more than 256 characters"), "{detail}");
    let (_, _, detail) = refused(&api, "/api/folders?search=x").await;
    assert!(detail.contains("a field of Folder that is marked `search = true`"), "{detail}");
}

#[tokio::test]
async fn a_single_record_takes_two_parameters() {
    let app = app().await;
    let api = app.client();
    let item = api.create("items", serde_json::json!({})).await;
    let path = format!("/api/items/{}", item["id"].as_str().unwrap());
    for (query, words) in [
        ("field=word", "takes no parameter `field`; did you mean `fields`?"),
        ("word=x", "takes no parameter `word`"),
        ("sort=word", "takes no parameter `sort`"),
        ("fields=wrod", "did you mean `word`?"),
        ("expand=word", "not a ref field"),
        ("fields=word&fields=note", "`fields` is given twice"),
    ] {
        let (status, code, detail) = refused(&api, &format!("{path}?{query}")).await;
        assert_eq!((status, code.as_str()), (400, "BAD_QUERY"), "{query}");
        assert!(detail.contains(words), "{query}: {detail}");
    }
}
