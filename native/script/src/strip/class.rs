//! Classes: modifiers, members without a body, `abstract`, `implements`.

use oxc_ast::ast::{
    Class, MethodDefinition, MethodDefinitionType, PropertyDefinition, PropertyDefinitionType, PropertyKey,
};
use oxc_ast_visit::Visit;
use oxc_span::GetSpan;

use super::types::Types;

const MODIFIERS: [&str; 7] = ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

/// Blanks what a class has between its beginning and its body.
pub fn head(types: &mut Types<'_>, class: &Class<'_>) {
    let mut at = class.span.start as usize;
    if class.r#abstract {
        at = types.blanks.skip_trivia(at);
        let end = word_end(types, at);
        types.blanks.blank(at, end);
        at = types.blanks.skip_trivia(end);
    }
    let Some(last) = class.implements.last() else { return };
    let named = class.id.as_ref().map(|id| id.span.end);
    let with_types = class.type_parameters.as_ref().map(|types| types.span.end);
    let heritage = class.heritage.as_ref().map(|heritage| {
        heritage.type_arguments.as_ref().map_or(heritage.expression.span().end, |types| types.span.end)
    });
    let before = heritage.or(with_types).or(named).map_or_else(|| word_end(types, at), |end| end as usize);
    let keyword = types.blanks.skip_trivia(before);
    types.blanks.blank(keyword, last.span.end as usize);
}

/// Blanks a method's modifiers; gives whether there is a method left.
pub fn method(types: &mut Types<'_>, method: &MethodDefinition<'_>) -> bool {
    let is_signature = method.value.body.is_none() || method.r#type == MethodDefinitionType::TSAbstractMethodDefinition;
    if is_signature {
        types.blanks.blank_statement(method.span.start as usize, method.span.end as usize);
        return false;
    }
    modifiers(types, method.span.start as usize, &method.key);
    if method.optional {
        types.blank_mark(after_key(types, &method.key, method.computed), b'?');
    }
    true
}

/// Blanks a field's modifiers and marks; gives whether there is a field left.
pub fn property(types: &mut Types<'_>, field: &PropertyDefinition<'_>) -> bool {
    if field.declare || field.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition {
        types.blanks.blank_statement(field.span.start as usize, field.span.end as usize);
        return false;
    }
    modifiers(types, field.span.start as usize, &field.key);
    let after = after_key(types, &field.key, field.computed);
    let mark = types.blank_mark(after, b'?').or_else(|| types.blank_mark(after, b'!'));
    let first = mark.or_else(|| field.type_annotation.as_ref().map(|annotation| annotation.span.start as usize));
    if let (None, Some(first)) = (&field.value, first) {
        // A field called `get` or `static` would otherwise become a modifier of the next member.
        if let Some(annotation) = &field.type_annotation {
            types.visit_ts_type_annotation(annotation);
        }
        types.blanks.put(first, b';');
        types.visit_property_key(&field.key);
        return false;
    }
    true
}

/// Blanks the words before a member's key. When the member begins with one, it is ended there what
/// came before: `a = 1` and then `["b"] = 2` would otherwise read as one.
fn modifiers(types: &mut Types<'_>, start: usize, key: &PropertyKey<'_>) {
    let end = key.span().start as usize;
    let mut at = types.blanks.skip_trivia(start);
    while at < end {
        let word = word_end(types, at);
        if word == at {
            return; // `*`, `[` or `#`: the key begins
        }
        let is_modifier = types.blanks.source().get(at..word).is_some_and(|word| MODIFIERS.contains(&word));
        if is_modifier && at == start {
            types.blanks.blank_statement(at, word);
        } else if is_modifier {
            types.blanks.blank(at, word);
        }
        at = types.blanks.skip_trivia(word);
    }
}

fn after_key(types: &Types<'_>, key: &PropertyKey<'_>, computed: bool) -> usize {
    let end = key.span().end as usize;
    let bracket = types.blanks.skip_trivia(end);
    if computed && types.blanks.byte(bracket) == b']' { bracket + 1 } else { end }
}

fn word_end(types: &Types<'_>, at: usize) -> usize {
    let rest = types.blanks.source().as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count()
}
