//! What kind of function the default export is, as far as the text tells: one that gives an iterator fails
//! every message. The runtime looks again at the functions of which only it can tell.

use oxc_ast::ast::{
    Declaration, ExportDefaultDeclarationKind, Expression, Function, Program, Statement, VariableDeclarationKind,
    VariableDeclarator,
};
use oxc_span::{GetSpan, Span};

/// A function of another kind than a script's, and where it stands.
pub struct Unfit {
    pub span: Span,
    pub what: &'static str,
}

/// The default export, if it is surely such a function.
pub fn unfit(program: &Program<'_>) -> Option<Unfit> {
    program.body.iter().find_map(|statement| match statement {
        Statement::ExportDefaultDeclaration(export) => match &export.declaration {
            ExportDefaultDeclarationKind::FunctionDeclaration(function) => of_function(function),
            declaration => of_expression(declaration.as_expression()?, program),
        },
        Statement::ExportNamedDeclaration(export) => {
            let exported = export.specifiers.iter().find(|one| one.exported.name() == "default")?;
            of_name(&exported.local.name(), program)
        }
        _ => None,
    })
}

fn of_expression(expression: &Expression<'_>, program: &Program<'_>) -> Option<Unfit> {
    match expression.get_inner_expression() {
        Expression::FunctionExpression(function) => of_function(function),
        Expression::Identifier(name) => of_name(&name.name, program),
        _ => None,
    }
}

/// A function, or a constant that is one, of the script's top level. A variable may become another one.
fn of_name(name: &str, program: &Program<'_>) -> Option<Unfit> {
    program.body.iter().filter_map(declaration).find_map(|declaration| match declaration {
        Declaration::FunctionDeclaration(function) if function.id.as_ref()?.name == name => of_function(function),
        Declaration::VariableDeclaration(variables) if variables.kind == VariableDeclarationKind::Const => {
            let named = |one: &&VariableDeclarator<'_>| one.id.get_identifier_name().is_some_and(|id| id == name);
            match variables.declarations.iter().find(named)?.init.as_ref()?.get_inner_expression() {
                // Not the name of another one: those can go round in circles.
                Expression::Identifier(_) => None,
                value => of_expression(value, program),
            }
        }
        _ => None,
    })
}

fn declaration<'p, 'a>(statement: &'p Statement<'a>) -> Option<&'p Declaration<'a>> {
    match statement {
        Statement::ExportDeclaration(export) => Some(&export.declaration),
        statement => statement.as_declaration(),
    }
}

fn of_function(function: &Function<'_>) -> Option<Unfit> {
    if !function.generator {
        return None;
    }
    let what = if function.r#async { "an async generator" } else { "a generator" };
    Some(Unfit { span: function.span(), what })
}
