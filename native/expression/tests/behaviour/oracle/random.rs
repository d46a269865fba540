//! Random messages, and random expressions over their fields.

use proptest::prelude::*;

use super::Json;

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -3_i64..12, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-8_i32..40).prop_map(|quarters| f64::from(quarters) / 4.0),
        1 => Just(9_223_372_036_854_775_808.0),
        1 => Just(1e300),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[abc]{0,3}", 1 => "[aäz€😀]{0,4}", 1 => Just("12".to_owned()), 1 => Just("true".to_owned())]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        2 => any::<bool>().prop_map(Json::Bool),
        4 => number().prop_map(|value| Json::Int(i128::from(value))),
        3 => double().prop_map(|value| Json::Double(value.to_bits())),
        4 => word().prop_map(Json::Text),
    ]
}

fn json() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            proptest::collection::btree_map("[abc]", inner, 0..3).prop_map(Json::Map),
        ]
    })
}

/// Fields of steady types most of the time, and one of any type.
pub fn message() -> impl Strategy<Value = Json> {
    (
        number(),
        double(),
        word(),
        any::<bool>(),
        proptest::collection::vec(number(), 0..5),
        proptest::collection::vec(word(), 0..4),
        proptest::collection::btree_map("[abc]", scalar(), 0..3),
        json(),
    )
        .prop_map(|(i, d, s, b, li, ls, m, x)| {
            let int = |value: i64| Json::Int(i128::from(value));
            let fields = [
                ("i", int(i)),
                ("d", Json::Double(d.to_bits())),
                ("s", Json::Text(s)),
                ("b", Json::Bool(b)),
                ("li", Json::List(li.into_iter().map(int).collect())),
                ("ls", Json::List(ls.into_iter().map(Json::Text).collect())),
                ("m", Json::Map(m)),
                ("x", x),
            ];
            Json::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
}

fn literal() -> impl Strategy<Value = String> {
    let ints = prop_oneof![
        (-3_i64..12).prop_map(|value| value.to_string()),
        Just("0x1F".into()),
        Just("9223372036854775807".into()),
        Just("-9223372036854775808".into())
    ];
    let doubles = prop_oneof![
        (-8_i32..40).prop_map(|value| format!("{:?}", f64::from(value) / 4.0)),
        Just("1e300".into()),
        Just(".5".into())
    ];
    let texts = prop_oneof![
        word().prop_map(|text| format!("\"{text}\"")),
        Just("'\\u00e4\\n'".into()),
        Just("r'\\n'".into()),
        Just("\"\"\"a\"b\"\"\"".into())
    ];
    prop_oneof![
        3 => ints,
        2 => doubles,
        1 => (0_u64..9).prop_map(|value| format!("{value}u")),
        3 => texts,
        1 => "[abc]{0,3}".prop_map(|text| format!("b\"{text}\"")),
        1 => Just("true".into()),
        1 => Just("false".into()),
        1 => Just("null".into()),
        1 => Just("[]".into()),
        1 => Just("{}".into()),
    ]
}

fn field() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "i", "d", "s", "b", "li", "ls", "m", "x", "x.a", "m.a", "m.b", "m[\"c\"]", "li[0]", "li[1]", "ls[0]", "x[0]",
        "missing", "x.a.b", "v",
    ])
    .prop_map(str::to_owned)
}

pub fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => field(), 2 => literal()];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = proptest::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let call = proptest::sample::select(vec!["size", "int", "uint", "double", "string", "bytes", "dyn", "!", "-"]);
        let method = proptest::sample::select(vec!["contains", "startsWith", "endsWith"]);
        let walked = proptest::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            6 => (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            2 => (call, inner.clone()).prop_map(|(call, value)| format!("{call}({value})")),
            1 => (inner.clone(), method, inner.clone()).prop_map(|(left, method, right)| format!("({left}).{method}({right})")),
            2 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(when, then, or)| format!("({when} ? {then} : {or})")),
            2 => (inner.clone(), walked, inner.clone()).prop_map(|(range, walked, body)| format!("({range}).{walked}(v, {body})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(range, when, body)| format!("({range}).map(v, {when}, {body})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(value, key)| format!("({value})[{key}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("[{one}, {two}]")),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("{{\"a\": {one}, \"b\": {two}}}")),
            1 => inner.prop_map(|value| format!("type({value}) == type(i)")),
            1 => proptest::sample::select(vec!["has(m.a)", "has(x.a)", "has(x.a.b)", "has({\"a\": 1}.b)"]).prop_map(str::to_owned),
        ]
    })
}

/// The kinds that the typed generator keeps apart.
#[derive(Clone, Copy, Debug)]
enum Of {
    Int,
    Double,
    Bool,
    Text,
    Ints,
    Texts,
}

/// An expression that has a value for most messages, of a known type.
fn typed(of: Of, depth: u32) -> BoxedStrategy<String> {
    let leaf: &[&str] = match of {
        Of::Int => &["i", "li[0]", "1", "2", "-3", "size(li)", "size(s)", "size(m)", "m.a", "x", "0x10", "v"],
        Of::Double => &["d", "1.5", "-0.25", "m.b", "1e3", "double(i)", "v"],
        Of::Bool => &["b", "true", "false", "has(m.a)", "has(x.a)", "m.c", "\"a\" in m", "v"],
        Of::Text => &["s", "ls[0]", "\"a\"", "\"äb\"", "string(i)", "m.a", "\"\"", "v"],
        Of::Ints => &["li", "[1, 2]", "[]", "[i, 3]", "li + [4]", "x"],
        Of::Texts => &["ls", "[\"a\", s]", "[]", "m.map(k, k)"],
    };
    let leaf = proptest::sample::select(leaf).prop_map(str::to_owned).boxed();
    if depth == 0 {
        return leaf;
    }
    let inner = move |of| typed(of, depth - 1);
    let pair = move |of, signs: &'static [&'static str]| {
        let sign = proptest::sample::select(signs);
        (inner(of), sign, inner(of)).prop_map(|(left, sign, right)| format!("({left} {sign} {right})")).boxed()
    };
    let walk = move |range, name: &'static str, body| {
        (inner(range), inner(body)).prop_map(move |(range, body)| format!("{range}.{name}(v, {body})")).boxed()
    };
    const ORDERS: &[&str] = &["<", "<=", ">", ">=", "==", "!="];
    let branch = (inner(Of::Bool), inner(of), inner(of))
        .prop_map(|(when, then, or)| format!("({when} ? {then} : {or})"))
        .boxed();
    let other = match of {
        Of::Int => proptest::strategy::Union::new([
            pair(Of::Int, &["+", "-", "*", "/", "%"]),
            inner(Of::Double).prop_map(|value| format!("int({value})")).boxed(),
            inner(Of::Ints).prop_map(|value| format!("size({value})")).boxed(),
            inner(Of::Text).prop_map(|value| format!("size({value})")).boxed(),
        ]),
        Of::Double => proptest::strategy::Union::new([
            pair(Of::Double, &["+", "-", "*", "/"]),
            inner(Of::Int).prop_map(|value| format!("double({value})")).boxed(),
        ]),
        Of::Bool => proptest::strategy::Union::new([
            pair(Of::Int, ORDERS),
            pair(Of::Double, ORDERS),
            pair(Of::Text, ORDERS),
            pair(Of::Bool, &["&&", "||", "==", "!="]),
            pair(Of::Ints, &["==", "!="]),
            inner(Of::Bool).prop_map(|value| format!("!({value})")).boxed(),
            (inner(Of::Int), inner(Of::Double)).prop_map(|(left, right)| format!("({left} < {right})")).boxed(),
            (inner(Of::Int), inner(Of::Ints)).prop_map(|(left, right)| format!("({left} in {right})")).boxed(),
            (inner(Of::Text), inner(Of::Text)).prop_map(|(left, right)| format!("({left}).contains({right})")).boxed(),
            walk(Of::Ints, "all", Of::Bool),
            walk(Of::Ints, "exists", Of::Bool),
            walk(Of::Texts, "exists_one", Of::Bool),
        ]),
        Of::Text => proptest::strategy::Union::new([
            pair(Of::Text, &["+"]),
            inner(Of::Int).prop_map(|value| format!("string({value})")).boxed(),
        ]),
        Of::Ints => proptest::strategy::Union::new([
            pair(Of::Ints, &["+"]),
            walk(Of::Ints, "map", Of::Int),
            walk(Of::Texts, "map", Of::Int),
            walk(Of::Ints, "filter", Of::Bool),
        ]),
        Of::Texts => {
            proptest::strategy::Union::new([walk(Of::Texts, "filter", Of::Bool), walk(Of::Texts, "map", Of::Text)])
        }
    };
    prop_oneof![1 => leaf, 1 => branch, 4 => other].boxed()
}

pub fn typed_expression() -> impl Strategy<Value = String> {
    let kinds = proptest::sample::select(vec![Of::Int, Of::Double, Of::Bool, Of::Bool, Of::Text, Of::Ints, Of::Texts]);
    kinds.prop_flat_map(|of| typed(of, 3))
}
