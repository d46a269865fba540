//! What blanking cannot turn into JavaScript, and what a script may not do: modules, decorators, JSX.

use message::{Code, Fault};
use oxc_ast::ast::{
    AccessorProperty, Class, Declaration, Decorator, ExportAllDeclaration, ExportDefaultDeclaration,
    ExportDefaultDeclarationKind, ExportFromDeclaration, FormalParameter, ImportDeclaration, ImportExpression,
    ImportMeta, JSXElement, JSXFragment, Program, Statement, TSEnumDeclaration, TSExportAssignment,
    TSExternalModuleDeclaration, TSImportEqualsDeclaration, TSNamespaceDeclaration, TSNamespaceDeclarationBody,
    TSNamespaceExportDeclaration,
};
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};

use super::{export, position};

/// Collects the first thing that is refused.
pub struct Refuse<'s> {
    source: &'s str,
    first: Option<(Span, &'static str)>,
}

impl<'s> Refuse<'s> {
    pub fn new(source: &'s str) -> Refuse<'s> {
        Refuse { source, first: None }
    }

    /// # Errors
    /// `script/unsupported` for what was met, `script/no-default-export`, `script/async`.
    pub fn verdict(self, program: &Program<'_>) -> Result<(), Fault> {
        if let Some((span, what)) = self.first {
            return Err(unsupported(what, self.source, span.start as usize));
        }
        if let Some(unfit) = export::unfit(program) {
            let fault = Fault::new(Code::ScriptAsync, format!("the default export is {}", unfit.what));
            return Err(position::at(fault, self.source, unfit.span.start as usize));
        }
        if program.body.iter().any(is_default_export) {
            return Ok(());
        }
        let class = program.body.iter().find(|statement| matches!(statement, Statement::ExportDefaultDeclaration(_)));
        let fault = Fault::new(Code::ScriptNoDefaultExport, "the script exports no default function");
        Err(class.map_or(fault.clone(), |class| position::at(fault, self.source, class.span().start as usize)))
    }

    fn refuse(&mut self, span: Span, what: &'static str) {
        if self.first.is_none_or(|(first, _)| span.start < first.start) {
            self.first = Some((span, what));
        }
    }
}

pub fn unsupported(what: &str, source: &str, offset: usize) -> Fault {
    position::at(Fault::new(Code::ScriptUnsupported, what), source, offset)
}

fn is_default_export(statement: &Statement<'_>) -> bool {
    match statement {
        Statement::ExportDefaultDeclaration(export) => {
            !is_erased(statement) && !matches!(export.declaration, ExportDefaultDeclarationKind::ClassDeclaration(_))
        }
        Statement::ExportNamedDeclaration(export) if export.export_kind.is_value() => export
            .specifiers
            .iter()
            .any(|specifier| specifier.export_kind.is_value() && specifier.exported.name() == "default"),
        _ => false,
    }
}

/// Whether the statement holds types only and leaves nothing behind.
pub fn is_erased(statement: &Statement<'_>) -> bool {
    match statement {
        Statement::ImportDeclaration(import) => import.import_kind.is_type(),
        Statement::ExportAllDeclaration(export) => export.export_kind.is_type(),
        Statement::ExportFromDeclaration(export) => export.export_kind.is_type(),
        Statement::ExportNamedDeclaration(export) => export.export_kind.is_type(),
        Statement::ExportDeclaration(export) => is_erased_declaration(&export.declaration),
        Statement::ExportDefaultDeclaration(export) => match &export.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => true,
            ExportDefaultDeclarationKind::FunctionDeclaration(function) => function.body.is_none(),
            _ => false,
        },
        _ => statement.as_declaration().is_some_and(is_erased_declaration),
    }
}

fn is_erased_declaration(declaration: &Declaration<'_>) -> bool {
    match declaration {
        Declaration::TSTypeAliasDeclaration(_)
        | Declaration::TSInterfaceDeclaration(_)
        | Declaration::TSGlobalDeclaration(_) => true,
        Declaration::VariableDeclaration(variables) => variables.declare,
        Declaration::FunctionDeclaration(function) => function.declare || function.body.is_none(),
        Declaration::ClassDeclaration(class) => class.declare,
        Declaration::TSEnumDeclaration(enumeration) => enumeration.declare,
        Declaration::TSExternalModuleDeclaration(module) => module.declare,
        Declaration::TSNamespaceDeclaration(namespace) => namespace.declare || has_only_types(namespace),
        Declaration::TSImportEqualsDeclaration(import) => import.import_kind.is_type(),
    }
}

fn has_only_types(namespace: &TSNamespaceDeclaration<'_>) -> bool {
    match &namespace.body {
        TSNamespaceDeclarationBody::TSNamespaceDeclaration(inner) => has_only_types(inner),
        TSNamespaceDeclarationBody::TSModuleBlock(block) => block.body.iter().all(is_erased),
    }
}

impl<'a> Visit<'a> for Refuse<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        if !is_erased(it) {
            walk::walk_statement(self, it);
        }
    }

    fn visit_import_declaration(&mut self, it: &ImportDeclaration<'a>) {
        self.refuse(it.span, "a script cannot import; only `import type` is allowed");
    }

    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        self.refuse(it.span, "a script cannot import");
    }

    fn visit_import_meta(&mut self, it: &ImportMeta) {
        self.refuse(it.span, "`import.meta` has no meaning in a script");
    }

    fn visit_export_all_declaration(&mut self, it: &ExportAllDeclaration<'a>) {
        self.refuse(it.span, "a script cannot export from another file");
    }

    fn visit_export_from_declaration(&mut self, it: &ExportFromDeclaration<'a>) {
        self.refuse(it.span, "a script cannot export from another file");
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        self.refuse(it.span, "`import x =` cannot be stripped; a script cannot import");
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span, "`export =` cannot be stripped; write `export default`");
    }

    fn visit_ts_namespace_export_declaration(&mut self, it: &TSNamespaceExportDeclaration<'a>) {
        self.refuse(it.span, "`export as namespace` has no meaning in a script");
    }

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        self.refuse(it.span, "an enum cannot be stripped; use an object, `as const`");
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        self.refuse(it.span, "a namespace with values cannot be stripped; use an object");
    }

    fn visit_ts_external_module_declaration(&mut self, it: &TSExternalModuleDeclaration<'a>) {
        self.refuse(it.span, "a module cannot be declared in a script");
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span, "decorators are not supported");
    }

    fn visit_jsx_element(&mut self, it: &JSXElement<'a>) {
        self.refuse(it.span, "JSX is not supported");
    }

    fn visit_jsx_fragment(&mut self, it: &JSXFragment<'a>) {
        self.refuse(it.span, "JSX is not supported");
    }

    fn visit_accessor_property(&mut self, it: &AccessorProperty<'a>) {
        self.refuse(it.span, "`accessor` fields are not supported; write a getter and a setter");
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.refuse(it.span, "a parameter property cannot be stripped; declare the field and assign it");
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if !it.declare {
            walk::walk_class(self, it);
        }
    }

    fn visit_export_default_declaration(&mut self, it: &ExportDefaultDeclaration<'a>) {
        walk::walk_export_default_declaration(self, it);
    }
}
