//! Finds every type and has it blanked, mending what its absence would change: where a line end now
//! stands between tokens, JavaScript may read the program differently.

use message::Fault;
use oxc_ast::ast::{
    ArrowFunctionExpression, Class, ExportNamedDeclaration, ExpressionStatement, FormalParameter, MethodDefinition,
    Program, PropertyDefinition, Statement, TSAsExpression, TSIndexSignature, TSNonNullExpression,
    TSSatisfiesExpression, TSThisParameter, TSTypeAnnotation, TSTypeAssertion, TSTypeParameterDeclaration,
    TSTypeParameterInstantiation, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};

use super::blank::Blanks;
use super::class;
use super::refuse::{is_erased, unsupported};

const ASSERTION: &str = "this `<T>x` cannot be stripped; write `x as T`";
const RETURN_TYPE: &str = "this return type cannot be stripped; write it on one line";

/// Walks a program that `Refuse` let pass.
pub struct Types<'s> {
    pub blanks: Blanks<'s>,
    refused: Option<(usize, &'static str)>,
}

impl<'s> Types<'s> {
    pub fn strip(source: &'s str, program: &Program<'_>) -> Result<String, Fault> {
        let mut types = Types { blanks: Blanks::new(source), refused: None };
        types.visit_program(program);
        if let Some((offset, what)) = types.refused {
            return Err(unsupported(what, source, offset));
        }
        types.blanks.finish().ok_or_else(|| unsupported("the script cannot be stripped here", source, 0))
    }

    fn blank(&mut self, span: Span) {
        self.blanks.blank(span.start as usize, span.end as usize);
    }

    /// Blanks a mark such as `?` or `!` that follows `after`; gives its position.
    pub fn blank_mark(&mut self, after: usize, mark: u8) -> Option<usize> {
        let at = self.blanks.skip_trivia(after);
        (self.blanks.byte(at) == mark).then(|| {
            self.blanks.blank(at, at + 1);
            at
        })
    }

    /// Blanks an item of a list with the comma behind it.
    fn blank_item(&mut self, span: Span) {
        self.blank(span);
        self.blank_mark(span.end as usize, b',');
    }

    /// `x as T`, `x satisfies T`: in TypeScript a bracket on the next line begins a new statement,
    /// since nothing can call a type. Without the type it would continue this one.
    fn blank_assertion(&mut self, expression: Span, whole: Span) {
        let end = whole.end as usize;
        let keyword = self.blanks.skip_trivia(expression.end as usize);
        self.blanks.blank(keyword, end);
        if matches!(self.blanks.byte(self.blanks.skip_trivia(end)), b'(' | b'[' | b'`') {
            self.blanks.put(keyword, b';');
        }
    }

    /// Where an expression may not begin with `{`, `function` or `class`, a `<T>` in front of one was
    /// what allowed it.
    fn check_beginning(&mut self, start: usize, words: bool) {
        if self.blanks.byte(start) != b'<' {
            return;
        }
        match self.blanks.next_written(start) {
            b'{' => self.refused = Some((start, ASSERTION)),
            b'f' | b'c' | b'l' if words => self.refused = Some((start, ASSERTION)),
            _ => {}
        }
    }

    /// No line may end between the parameters and the arrow: the parenthesis moves to the end of a
    /// return type that is longer than its line.
    fn mend_return_type(&mut self, parameters: Span, annotation: Span) {
        let (close, end) = (parameters.end as usize - 1, annotation.end as usize);
        if !self.blanks.has_line_end(close, end) {
            return;
        }
        if self.blanks.byte(close) == b')' && self.blanks.put_last(close, end, b')') {
            self.blanks.blank(close, close + 1);
        } else {
            self.refused = Some((annotation.start as usize, RETURN_TYPE));
        }
    }

    /// No line may end between `return` or `async` and the parameters either: the parenthesis moves
    /// to the beginning of type parameters that are longer than their line.
    fn mend_type_parameters(&mut self, types: Span, parameters: Span) {
        let (start, open) = (types.start as usize, parameters.start as usize);
        if self.blanks.has_line_end(start, open) && self.blanks.byte(open) == b'(' {
            self.blanks.put(start, b'(');
            self.blanks.blank(open, open + 1);
        }
    }
}

impl<'a> Visit<'a> for Types<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        if is_erased(it) {
            self.blanks.blank_statement(it.span().start as usize, it.span().end as usize);
        } else {
            walk::walk_statement(self, it);
        }
    }

    fn visit_export_named_declaration(&mut self, it: &ExportNamedDeclaration<'a>) {
        for specifier in it.specifiers.iter().filter(|specifier| specifier.export_kind.is_type()) {
            self.blank_item(specifier.span);
        }
    }

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.blank_item(it.span);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.optional {
            self.blank_mark(it.pattern.span().end as usize, b'?');
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.blank_mark(it.id.span().end as usize, b'!');
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank_assertion(it.expression.span(), it.span);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank_assertion(it.expression.span(), it.span);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank_mark(it.expression.span().end as usize, b'!');
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        let (start, end) = (it.span.start as usize, it.expression.span().start as usize);
        if self.blanks.has_line_end(start, end) {
            self.refused = Some((start, ASSERTION));
        }
        self.blanks.blank(start, end);
        self.visit_expression(&it.expression);
    }

    fn visit_expression_statement(&mut self, it: &ExpressionStatement<'a>) {
        walk::walk_expression_statement(self, it);
        self.check_beginning(it.span.start as usize, true);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        walk::walk_arrow_function_expression(self, it);
        if let Some(types) = &it.type_parameters {
            self.mend_type_parameters(types.span, it.params.span);
        }
        if let Some(annotation) = &it.return_type {
            self.mend_return_type(it.params.span, annotation.span);
        }
        self.check_beginning(it.body.span().start as usize, false);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        class::head(self, it);
        walk::walk_class(self, it);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        if class::method(self, it) {
            walk::walk_method_definition(self, it);
        }
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        if class::property(self, it) {
            walk::walk_property_definition(self, it);
        }
    }

    fn visit_ts_index_signature(&mut self, it: &TSIndexSignature<'a>) {
        self.blanks.blank_statement(it.span.start as usize, it.span.end as usize);
    }
}
