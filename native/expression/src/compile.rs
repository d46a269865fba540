//! From the parser's tree to our program: names resolved, macros recognised, functions and arities
//! checked, constants folded. Every refusal has its column.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SelectExpr, SourceInfo, operators};
use message::{Fault, Tables};

use crate::checks::{invalid, too_large};
use crate::evaluate::META;
use crate::fold::fold;
use crate::functions::{self, Function};
use crate::lookup;
use crate::parse::parse;
use crate::program::{Arithmetic, Constant, Equality, Node, Operation, Ordering, Part, Path, Program, Start, Type};

/// Nodes below one another. What the checks let through stays far below it, except for chains of
/// calls; it bounds the evaluator's recursion on a shard's stack.
const MAX_DEPTH: usize = 300;

/// Compiles one expression, which may look into `tables`. Starts a thread for its stack and waits for it; not for the hot
/// path.
pub(crate) fn compile(source: &str, tables: &Tables) -> Result<Program, Fault> {
    let root = parse(source, |tree, positions| {
        let mut compiler = Compiler { source, positions, tables, scope: Vec::new(), depth: 0 };
        let root = compiler.node(tree)?;
        compiler.refuse_type_name(&root, "stands alone")?;
        Ok(root)
    })?;
    Ok(Program::new(source, root))
}

pub(crate) struct Compiler<'s> {
    pub(crate) source: &'s str,
    positions: &'s SourceInfo,
    pub(crate) tables: &'s Tables,
    /// The variables of the macros that are open here.
    pub(crate) scope: Vec<String>,
    depth: usize,
}

impl Compiler<'_> {
    pub(crate) fn node(&mut self, tree: &IdedExpr) -> Result<Node, Fault> {
        let at = self.at(tree);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_large(self.source, at, format!("is nested deeper than {MAX_DEPTH} operations")));
        }
        let operation = self.operation(tree, at)?;
        self.depth -= 1;
        Ok(fold(Node { at: u32::try_from(at).unwrap_or(0), operation }))
    }

    fn operation(&mut self, tree: &IdedExpr, at: usize) -> Result<Operation, Fault> {
        match &tree.expr {
            Expr::Literal(literal) => Ok(Operation::Constant(constant(literal))),
            Expr::Ident(name) => Ok(self.variable(name)),
            Expr::Select(select) => self.select(select, at),
            Expr::Call(call) => self.call(call, at),
            Expr::List(list) => Ok(Operation::List(self.nodes(&list.elements)?)),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, at),
            Expr::Struct(message) => Err(invalid(
                self.source,
                at,
                format!("builds a message `{}`; only maps such as {{\"a\": 1}} can be built", message.type_name),
            )),
            Expr::Unspecified => Err(invalid(self.source, at, "does not parse here")),
        }
    }

    fn nodes(&mut self, trees: &[IdedExpr]) -> Result<Box<[Node]>, Fault> {
        trees.iter().map(|tree| self.node(tree)).collect()
    }

    /// The byte that errors point at: a path's start, a call's name, an operator's sign. The parser
    /// places a path at its last dot and a call at its bracket.
    pub(crate) fn at(&self, tree: &IdedExpr) -> usize {
        let mut tree = tree;
        loop {
            tree = match &tree.expr {
                Expr::Select(select) => &select.operand,
                Expr::Call(call) if call.func_name == operators::INDEX && !call.args.is_empty() => &call.args[0],
                _ => break,
            };
        }
        let at = self.positions.offset_for(tree.id).map_or(0, |(start, _)| start as usize);
        let Expr::Call(call) = &tree.expr else { return at };
        let before = self.source.get(..at).unwrap_or_default().trim_end();
        if before.ends_with(&call.func_name) { before.len() - call.func_name.len() } else { at }
    }

    // -- names -----------------------------------------------------------------------------------

    fn variable(&self, name: &str) -> Operation {
        let start = |start| Operation::Path(Path { start, parts: Vec::new() });
        if let Some(absolute) = name.strip_prefix('.') {
            return field(absolute);
        }
        if let Some(slot) = self.scope.iter().rposition(|local| local == name) {
            return start(Start::Local(slot, name.into()));
        }
        match name {
            "msg" => start(Start::Message),
            "headers" => start(Start::Headers),
            "meta" => start(Start::Meta),
            _ => Type::named(name).map_or_else(|| field(name), |kind| Operation::Constant(Constant::Type(kind))),
        }
    }

    fn select(&mut self, select: &SelectExpr, at: usize) -> Result<Operation, Fault> {
        if let Some(kind) = self.qualified_type(select) {
            return Ok(Operation::Constant(Constant::Type(kind)));
        }
        let operand = self.node(&select.operand)?;
        self.refuse_type_name(&operand, "reads a field of it")?;
        let name: Box<str> = select.field.as_str().into();
        if select.test {
            self.check_meta(&operand, &name, at)?;
            self.check_column(&operand, &name, at)?;
            return Ok(Operation::Has(Box::new(operand), name));
        }
        self.extend(operand, Part::Name(name), at)
    }

    /// `google.protobuf.Timestamp` and `.Duration` are names of types.
    fn qualified_type(&self, select: &SelectExpr) -> Option<Type> {
        let Expr::Select(package) = &select.operand.expr else { return None };
        let Expr::Ident(root) = &package.operand.expr else { return None };
        let shadowed = self.scope.iter().any(|local| local == root);
        if select.test || shadowed || root != "google" || package.field != "protobuf" {
            return None;
        }
        Type::named(&format!("google.protobuf.{}", select.field))
    }

    /// A path grows by a part; anything else is selected from when it runs.
    fn extend(&self, operand: Node, part: Part, at: usize) -> Result<Operation, Fault> {
        if let Part::Name(name) = &part {
            self.check_meta(&operand, name, at)?;
            self.check_column(&operand, name, at)?;
        }
        match (operand.operation, part) {
            (Operation::Path(mut path), part) => {
                path.parts.push(part);
                Ok(Operation::Path(path))
            }
            (operation, Part::Name(name)) => Ok(Operation::Select(Box::new(Node { operation, at: operand.at }), name)),
            (operation, Part::Position(index)) => {
                let key = Node { operation: Operation::Constant(Constant::Int(index.into())), at: operand.at };
                Ok(Operation::Index(Box::new(Node { operation, at: operand.at }), Box::new(key)))
            }
        }
    }

    /// The fields of `meta` are known, so a wrong one is an error at once.
    fn check_meta(&self, operand: &Node, name: &str, at: usize) -> Result<(), Fault> {
        match &operand.operation {
            Operation::Path(Path { start: Start::Meta, parts }) if parts.is_empty() && !META.contains(&name) => {
                Err(invalid(self.source, at, format!("reads `meta.{name}`; meta has {}", META.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// The names of types are also the names of fields: `type == "order"` would be false for every
    /// message, so a type stands only where it is compared with one.
    pub(crate) fn refuse_type_name(&self, node: &Node, what: &str) -> Result<(), Fault> {
        match node.constant() {
            Some(Constant::Type(kind)) => {
                let name = kind.name();
                let reason =
                    format!("takes `{name}` as the name of a type and {what}; write `msg.{name}` for the field");
                Err(invalid(self.source, node.at as usize, reason))
            }
            _ => Ok(()),
        }
    }

    // -- operators and calls ---------------------------------------------------------------------

    fn call(&mut self, call: &CallExpr, at: usize) -> Result<Operation, Fault> {
        if call.target.is_none()
            && let Some(operation) = self.operator(call, at)?
        {
            return Ok(operation);
        }
        let mut name = call.func_name.trim_start_matches('.').to_owned();
        if name == lookup::NAME {
            return self.lookup(call, at);
        }
        let mut target = call.target.as_deref();
        if let Some(Expr::Ident(space)) = target.map(|target| &target.expr)
            && space == "math"
            && !self.scope.contains(space)
        {
            name = format!("math.{name}");
            target = None;
        }
        let count = call.args.len() + usize::from(target.is_some());
        let function =
            functions::find(&name, target.is_some(), count).map_err(|reason| invalid(self.source, at, reason))?;
        let mut arguments = Vec::with_capacity(count);
        for tree in target.into_iter().chain(&call.args) {
            let argument = self.node(tree)?;
            if !matches!(function, Function::Type | Function::Dyn) {
                self.refuse_type_name(&argument, "passes it to a function")?;
            }
            arguments.push(argument);
        }
        self.finish_call(function, arguments)
    }

    fn finish_call(&self, function: Function, mut arguments: Vec<Node>) -> Result<Operation, Fault> {
        if function == Function::Matches {
            let Some(pattern) = arguments.pop() else { return Ok(Operation::List(Box::default())) };
            let regex = self.pattern(&pattern)?;
            if let Some(text) = arguments.pop() {
                return Ok(Operation::Matches(Box::new(text), Box::new(regex)));
            }
        }
        self.check_literals(function, &arguments)?;
        Ok(Operation::Call(function, arguments.into()))
    }

    /// `None` when the call is no operator.
    fn operator(&mut self, call: &CallExpr, at: usize) -> Result<Option<Operation>, Fault> {
        let order = |kind| move |pair| Operation::Order(pair, kind);
        let arithmetic = |kind| move |pair| Operation::Arithmetic(pair, kind);
        let operation = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [operand]) => Operation::Not(Box::new(self.operand(operand)?)),
            (operators::NEGATE, [operand]) => Operation::Negate(Box::new(self.operand(operand)?)),
            (operators::LOGICAL_AND, pair) => Operation::And(self.pair(pair, at)?),
            (operators::LOGICAL_OR, pair) => Operation::Or(self.pair(pair, at)?),
            (operators::CONDITIONAL, [when, then, otherwise]) => {
                Operation::Conditional(Box::new([self.operand(when)?, self.node(then)?, self.node(otherwise)?]))
            }
            (operators::EQUALS, pair) => Operation::Equal(self.equal(pair, at)?, Equality::Equal),
            (operators::NOT_EQUALS, pair) => Operation::Equal(self.equal(pair, at)?, Equality::NotEqual),
            (operators::LESS, pair) => order(Ordering::Less)(self.pair(pair, at)?),
            (operators::LESS_EQUALS, pair) => order(Ordering::LessOrEqual)(self.pair(pair, at)?),
            (operators::GREATER, pair) => order(Ordering::Greater)(self.pair(pair, at)?),
            (operators::GREATER_EQUALS, pair) => order(Ordering::GreaterOrEqual)(self.pair(pair, at)?),
            (operators::ADD, pair) => arithmetic(Arithmetic::Add)(self.pair(pair, at)?),
            (operators::SUBSTRACT, pair) => arithmetic(Arithmetic::Subtract)(self.pair(pair, at)?),
            (operators::MULTIPLY, pair) => arithmetic(Arithmetic::Multiply)(self.pair(pair, at)?),
            (operators::DIVIDE, pair) => arithmetic(Arithmetic::Divide)(self.pair(pair, at)?),
            (operators::MODULO, pair) => arithmetic(Arithmetic::Remainder)(self.pair(pair, at)?),
            (operators::INDEX, [operand, key]) => self.index(operand, key, at)?,
            (operators::IN, [needle, range]) => Operation::In(Box::new(self.membership(needle, range)?)),
            _ => return Ok(None),
        };
        Ok(Some(operation))
    }

    fn operand(&mut self, tree: &IdedExpr) -> Result<Node, Fault> {
        let node = self.node(tree)?;
        self.refuse_type_name(&node, "computes with it")?;
        Ok(node)
    }

    fn pair(&mut self, trees: &[IdedExpr], at: usize) -> Result<Box<[Node; 2]>, Fault> {
        match trees {
            [left, right] => Ok(Box::new([self.operand(left)?, self.operand(right)?])),
            _ => Err(invalid(self.source, at, "has an operator without two operands")),
        }
    }

    fn equal(&mut self, trees: &[IdedExpr], at: usize) -> Result<Box<[Node; 2]>, Fault> {
        let [left, right] = trees else { return self.pair(trees, at) };
        let (left, right) = (self.node(left)?, self.node(right)?);
        if !may_be_type(&right) {
            self.refuse_type_name(&left, "compares it with something that is none")?;
        }
        if !may_be_type(&left) {
            self.refuse_type_name(&right, "compares it with something that is none")?;
        }
        Ok(Box::new([left, right]))
    }

    fn membership(&mut self, needle: &IdedExpr, range: &IdedExpr) -> Result<[Node; 2], Fault> {
        let (needle, range) = (self.node(needle)?, self.operand(range)?);
        if may_be_type(&needle) {
            return Ok([needle, range]);
        }
        // Lists with types in them are never folded.
        if let Operation::List(items) = &range.operation {
            items.iter().try_for_each(|item| self.refuse_type_name(item, "looks for something else in it"))?;
        }
        Ok([needle, range])
    }

    fn index(&mut self, operand: &IdedExpr, key: &IdedExpr, at: usize) -> Result<Operation, Fault> {
        let (operand, key) = (self.operand(operand)?, self.operand(key)?);
        if matches!(operand.operation, Operation::Path(_)) {
            let part = match key.constant() {
                Some(Constant::Text(name)) => Some(Part::Name(name.clone())),
                Some(Constant::Int(index)) => u32::try_from(*index).ok().map(Part::Position),
                _ => None,
            };
            if let Some(part) = part {
                return self.extend(operand, part, at);
            }
        }
        Ok(Operation::Index(Box::new(operand), Box::new(key)))
    }

    fn map(&mut self, map: &MapExpr) -> Result<Operation, Fault> {
        let entries = map.entries.iter().map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => Ok([self.operand(&entry.key)?, self.node(&entry.value)?]),
            EntryExpr::StructField(field) => {
                Err(invalid(self.source, 0, format!("builds a message with `{}`", field.field)))
            }
        });
        Ok(Operation::Map(entries.collect::<Result<_, _>>()?))
    }
}

fn field(name: &str) -> Operation {
    Operation::Path(Path { start: Start::Message, parts: vec![Part::Name(name.into())] })
}

/// Whether a type can come out of it. No field of a message holds one.
fn may_be_type(node: &Node) -> bool {
    match &node.operation {
        Operation::Constant(constant) => matches!(constant, Constant::Type(_)),
        Operation::Path(path) => matches!(path.start, Start::Local(..)),
        Operation::Call(function, _) => matches!(function, Function::Type | Function::Dyn),
        Operation::Conditional(_) | Operation::Select(..) | Operation::Index(..) => true,
        _ => false,
    }
}

fn constant(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Boolean(value) => Constant::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Constant::Bytes(value.inner().into()),
        LiteralValue::Double(value) => Constant::Double(*value.inner()),
        LiteralValue::Int(value) => Constant::Int(*value.inner()),
        LiteralValue::Null => Constant::Null,
        LiteralValue::String(value) => Constant::Text(value.inner().into()),
        LiteralValue::UInt(value) => Constant::Uint(*value.inner()),
    }
}
