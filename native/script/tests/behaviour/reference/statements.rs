//! Random scripts: sequences of the reads and edits that scripts do, aimed at what a message holds.

use serde_json::{Value, json};

use super::documents::{Tree, name};
use super::random::Random;

/// A script as its statements; what it returns stands last.
#[derive(Clone, Debug)]
pub struct Script {
    pub statements: Vec<String>,
    pub returns: String,
}

/// Makes scripts for one message, which is `m` in them. `a`, `b` and `c` are variables, `k` is what the
/// script keeps from one message to the next.
pub struct Writer<'r> {
    random: &'r mut Random,
    /// Expressions for the message's lists, its objects, and its other values.
    lists: Vec<String>,
    objects: Vec<String>,
    leaves: Vec<String>,
    /// Names that occur in it.
    names: Vec<String>,
}

impl Script {
    pub fn random(random: &mut Random, message: &Value) -> Script {
        let mut writer =
            Writer { random, lists: Vec::new(), objects: Vec::new(), leaves: Vec::new(), names: Vec::new() };
        writer.collect("m", message);
        let count = 1 + writer.random.below(9);
        let statements = (0..count).map(|_| writer.statement()).collect();
        Script { statements, returns: writer.returns() }
    }

    /// As a function of JavaScript. A statement that throws is passed over, and noted.
    pub fn function(&self, name: &str) -> String {
        let guarded = |statement: &String| format!("  try {{ {statement} }} catch (e) {{ caught(e, log) }}\n");
        let statements: String = self.statements.iter().map(guarded).collect();
        format!("function {name}(m, k, log) {{\n  let a, b, c;\n{statements}  return {};\n}}\n", self.returns)
    }

    /// What is one step smaller.
    pub fn smaller(&self) -> Vec<Script> {
        let mut all = Vec::new();
        for left_out in 0..self.statements.len() {
            let mut statements = self.statements.clone();
            statements.remove(left_out);
            all.push(Script { statements, returns: self.returns.clone() });
        }
        if self.returns != "m" {
            all.push(Script { returns: "m".to_owned(), ..self.clone() });
        }
        all
    }
}

impl Writer<'_> {
    fn collect(&mut self, at: &str, value: &Value) {
        match value {
            Value::Array(items) => {
                self.lists.push(at.to_owned());
                for (index, item) in items.iter().enumerate() {
                    self.collect(&format!("{at}[{index}]"), item);
                }
            }
            Value::Object(members) => {
                self.objects.push(at.to_owned());
                for (key, member) in members {
                    self.names.push(key.clone());
                    self.collect(&format!("{at}[{}]", json!(key)), member);
                }
            }
            _ => self.leaves.push(at.to_owned()),
        }
    }

    fn one_of(&mut self, kind: fn(&Self) -> &Vec<String>) -> Option<String> {
        let count = kind(self).len();
        (count > 0).then(|| self.random.below(count)).map(|index| kind(self)[index].clone())
    }

    fn variable(&mut self) -> String {
        self.random.pick(&["a", "b", "c", "k.x", "k.y"]).to_owned()
    }

    fn list(&mut self) -> String {
        match self.random.below(8) {
            0 => self.variable(),
            _ => self.one_of(|all| &all.lists).unwrap_or_else(|| "m".to_owned()),
        }
    }

    fn object(&mut self) -> String {
        match self.random.below(8) {
            0 => self.variable(),
            _ => self.one_of(|all| &all.objects).unwrap_or_else(|| "m".to_owned()),
        }
    }

    /// Something that has members or elements, most often.
    fn holder(&mut self) -> String {
        if self.random.one_in(2) { self.object() } else { self.list() }
    }

    fn key(&mut self) -> String {
        match self.random.below(6) {
            0 => json!(name(self.random)).to_string(),
            1 | 2 => self.random.below(4).to_string(),
            _ => match self.one_of(|all| &all.names) {
                Some(name) => json!(name).to_string(),
                None => "\"a\"".to_owned(),
            },
        }
    }

    fn place(&mut self) -> String {
        let place = if self.random.one_in(4) { None } else { self.known() };
        place.unwrap_or_else(|| format!("{}[{}]", self.holder(), self.key()))
    }

    fn known(&mut self) -> Option<String> {
        match self.random.below(3) {
            0 => self.one_of(|all| &all.lists),
            1 => self.one_of(|all| &all.objects),
            _ => self.one_of(|all| &all.leaves),
        }
    }

    fn literal(&mut self) -> String {
        match self.random.below(8) {
            0 => "[]".to_owned(),
            1 => "{}".to_owned(),
            _ => Tree::random(self.random, 2).text(false).replace("\"__proto__\":", "[\"__proto__\"]:"),
        }
    }

    fn value(&mut self) -> String {
        match self.random.below(16) {
            0..=3 => self.literal(),
            4..=6 => self.place(),
            7 => self.variable(),
            8 => format!("{{ ...{} }}", self.holder()),
            9 => format!("[...{}]", self.list()),
            10 => format!("[{}, {}]", self.place(), self.literal()),
            11 => format!("{{ x: {}, y: {} }}", self.place(), self.place()),
            12 => format!("JSON.parse(JSON.stringify({}))", self.place()),
            13 => self.made(),
            14 => self.unusual(),
            _ => "m".to_owned(),
        }
    }

    /// New values of what is there.
    fn made(&mut self) -> String {
        let (list, object, place) = (self.list(), self.object(), self.place());
        match self.random.below(12) {
            0 => format!("{list}.map(x => x)"),
            1 => format!("{list}.map((x, i) => ({{ x, i }}))"),
            2 => format!("{list}.filter(x => typeof x === 'object')"),
            3 => format!("{list}.slice(1)"),
            4 => format!("{list}.concat({place})"),
            5 => format!("{list}.flat()"),
            6 => format!("Array.from({list}, x => [x])"),
            7 => format!("Object.fromEntries(Object.entries({object}))"),
            8 => format!("Object.values({object})"),
            9 => format!("Object.create({object})"),
            10 => format!("Object.keys({object})"),
            _ => format!("Object.assign({{}}, {object}, {place})"),
        }
    }

    /// What is not usual in JSON.
    fn unusual(&mut self) -> String {
        let (place, value) = (self.place(), self.literal());
        match self.random.below(26) {
            0 => "undefined".to_owned(),
            1 => "new Date(0)".to_owned(),
            2 => "new Date(-1e12)".to_owned(),
            3 => "new String('wrapped')".to_owned(),
            4 => "new Number(7)".to_owned(),
            5 => "new Boolean(false)".to_owned(),
            6 => format!("new (class Point {{ x = {place}; get y() {{ return 1 }} }})"),
            7 => format!("{{ toJSON() {{ return {value} }} }}"),
            8 => format!("{{ toJSON() {{ return {place} }} }}"),
            9 => format!("{{ get x() {{ return {place} }} }}"),
            10 => format!("Object.assign(Object.create(null), {{ x: {place} }})"),
            11 => "[, 1]".to_owned(),
            12 => "new Array(3)".to_owned(),
            13 => format!("new (class extends Array {{ }})({value}, {place})"),
            14 => "new Map([[1, 2]])".to_owned(),
            15 => "() => 1".to_owned(),
            16 => "sym".to_owned(),
            17 => "1n".to_owned(),
            18 => "0 / 0".to_owned(),
            19 => "'\\ud800'".to_owned(),
            20 => format!("proxy({value})"),
            21 => format!("proxy(Object({place}), {{ get: (o, key) => key === 'toJSON' ? () => ({value}) : o[key] }})"),
            22 => format!("proxy({{}}, {{ get() {{ k.asked = m; return {value} }} }})"),
            23 => format!("Object.assign(() => 1, {{ toJSON() {{ return {place} }} }})"),
            24 => format!("Object.assign(new Map(), {{ toJSON(key) {{ return [key, {place}] }} }})"),
            _ => format!("Object.assign([{place}], {{ extra: 1, toJSON: {value} }})"),
        }
    }

    fn statement(&mut self) -> String {
        match self.random.below(20) {
            0..=3 => self.assignment(),
            4 => format!("delete {}[{}];", self.holder(), self.key()),
            5..=8 => self.edit_of_list(),
            9 | 10 => format!("{} = {};", self.variable(), self.place()),
            11 | 12 => self.edit_of_object(),
            13 => self.definition(),
            14 => self.effect(),
            15 => format!("[{0}, {1}] = [{1}, {0}];", self.place(), self.place()),
            16 => format!("{} = {};", self.variable(), self.value()),
            _ => self.read(),
        }
    }

    fn assignment(&mut self) -> String {
        let (holder, key, value) = (self.holder(), self.key(), self.value());
        match self.random.below(6) {
            0 => format!("put({holder}, {key}, ({value}));"),
            1 => {
                let update = self.random.pick(&["+= 1", "+= 'x'", "??= 5", "||= []", "= -0"]);
                format!("{} {update};", self.place())
            }
            2 => format!("put({holder}, {holder}.length + {}, ({value}));", self.random.below(3)),
            _ => match self.known() {
                Some(place) => format!("{place} = ({value});"),
                None => format!("put({holder}, {key}, ({value}));"),
            },
        }
    }

    fn edit_of_list(&mut self) -> String {
        let (list, value) = (self.list(), self.value());
        let (i, n) = (self.random.below(4), self.random.below(3));
        match self.random.below(16) {
            0 => format!("{list}.push(({value}));"),
            1 => format!("{list}.unshift(({value}));"),
            2 => format!("a = {list}.pop();"),
            3 => format!("a = {list}.shift();"),
            4 => format!("b = {list}.splice({i}, {n}, ({value}));"),
            5 => format!("b = {list}.splice({i}, {n});"),
            6 => format!("{list}.reverse();"),
            7 => format!("{list}.sort();"),
            8 => format!("{list}.fill(({value}), {i});"),
            9 => format!("{list}.copyWithin({i}, {n});"),
            10 => format!("{list}.length = {i};"),
            11 => format!("{list}[{i}] = ({value});"),
            12 => format!("{list}[{i}] = [];"),
            13 => format!("delete {list}[{i}];"),
            14 => format!("for (const x of {list}) if (typeof x === 'object') x.seen = {i};"),
            _ => format!("{list}.forEach((x, i, all) => {{ all[i] = [x] }});"),
        }
    }

    fn edit_of_object(&mut self) -> String {
        let (object, value) = (self.holder(), self.value());
        match self.random.below(12) {
            0..=2 => format!("Object.assign({object}, ({value}));"),
            3 => format!("Object.freeze({object});"),
            4 => format!("Object.seal({object});"),
            5 => format!("Object.preventExtensions({object});"),
            6 => format!("Object.setPrototypeOf({object}, null);"),
            7 if self.random.one_in(2) => format!("Object.setPrototypeOf({object}, ({value}));"),
            7 => format!("Object.setPrototypeOf({object}, {{ toJSON() {{ return ({value}) }} }});"),
            8 => format!("{object}.toJSON = function (key) {{ return ({value}) }};"),
            9 => format!("{object}[sym] = ({value});"),
            10 => format!("for (const x of Object.keys({object})) {object}[x + 'x'] = {object}[x];"),
            _ => format!("for (const x in {object}) delete {object}[x];"),
        }
    }

    fn definition(&mut self) -> String {
        let (object, key, value) = (self.holder(), self.key(), self.value());
        let flags = self.random.pick(&[
            "",
            ", enumerable: true",
            ", enumerable: false",
            ", enumerable: true, configurable: true",
            ", enumerable: true, configurable: true, writable: true",
            ", writable: false",
        ]);
        match self.random.below(3) {
            0 => {
                format!("Object.defineProperty({object}, {key}, {{ get() {{ return ({value}) }}, enumerable: true }});")
            }
            _ => format!("Object.defineProperty({object}, {key}, {{ value: ({value}){flags} }});"),
        }
    }

    /// Code that runs, and edits, while the message is written.
    fn effect(&mut self) -> String {
        let (object, key, other) = (self.holder(), self.key(), self.assignment());
        match self.random.below(3) {
            0 => format!("{object}.toJSON = function () {{ {other} return this }};"),
            1 => format!(
                "Object.defineProperty({object}, {key}, {{ get() {{ {other} return 1 }}, enumerable: true, configurable: true }});"
            ),
            _ => format!(
                "k.n = 0; Object.defineProperty({object}, {key}, {{ get() {{ return ++k.n }}, enumerable: true, configurable: true }});"
            ),
        }
    }

    fn read(&mut self) -> String {
        let (holder, key, place) = (self.holder(), self.key(), self.place());
        let read = match self.random.below(16) {
            0 | 1 => format!("show({place})"),
            2 => format!("Object.keys({holder}).join()"),
            3 => format!("show(Object.entries({holder}))"),
            4 => format!("{key} in {holder}"),
            5 => format!("Object.hasOwn({holder}, {key})"),
            6 => format!("show({{ ...Object.getOwnPropertyDescriptor({holder}, {key}), get: 0, set: 0 }})"),
            7 => format!("Array.isArray({place}) + typeof {place}"),
            8 => format!("{place} === {holder}"),
            9 => format!("show(Reflect.ownKeys({holder}).map(String))"),
            10 => format!("show([...{holder}])"),
            11 => format!("show((({{ a, ...rest }}) => [a, rest])({holder}))"),
            12 => format!("JSON.stringify({holder}, null, 1)"),
            13 => format!("show({holder}.length)"),
            14 => format!("show({holder}.includes({place}))"),
            _ => format!("Object.isFrozen({holder}) + ' ' + Object.isExtensible({holder})"),
        };
        format!("log.push({read});")
    }

    fn returns(&mut self) -> String {
        match self.random.below(14) {
            0 => self.place(),
            1 => format!("({})", self.value()),
            2 => "[m]".to_owned(),
            3 => format!("[m, {}]", self.place()),
            4 => format!("[{}, m]", self.place()),
            5 => format!("({{ x: {}, y: {} }})", self.place(), self.place()),
            6 => format!("[{}, {}]", self.variable(), self.value()),
            7 => format!("({{ ...{}, z: {} }})", self.holder(), self.variable()),
            8 => format!("[[{}], {}]", self.place(), self.list()),
            _ => "m".to_owned(),
        }
    }
}
