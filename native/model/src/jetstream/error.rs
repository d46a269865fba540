//! What the API refuses, with the server's codes and texts.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiError {
    pub code: u16,
    pub err_code: u32,
    pub description: String,
}

fn error(code: u16, err_code: u32, description: impl Into<String>) -> ApiError {
    ApiError { code, err_code, description: description.into() }
}

/// A constructor for each error whose text is always the same.
macro_rules! errors {
    ($($name:ident = $code:literal, $err_code:literal, $text:literal;)*) => {
        $(#[must_use] pub fn $name() -> ApiError { error($code, $err_code, $text) })*
    };
}

errors! {
    bad_request = 400, 10003, "bad request";
    consumer_not_found = 404, 10014, "consumer not found";
    durable_not_in_subject = 400, 10016, "consumer expected to be durable but no durable name set in subject";
    durable_not_match_subject = 400, 10017, "consumer name in subject does not match durable name in request";
    durable_not_set = 400, 10018, "consumer expected to be durable but a durable name was not set";
    ephemeral_with_durable = 400, 10020, "consumer expected to be ephemeral but a durable name was set in request";
    max_consumers = 400, 10026, "maximum consumers limit reached";
    no_message = 404, 10037, "no message found";
    not_empty_request = 400, 10038, "expected an empty request payload";
    message_too_large = 400, 10054, "message size exceeds maximum allowed";
    stream_mismatch = 400, 10056, "stream name in subject does not match request";
    stream_name_exists = 400, 10058, "stream name already in use with a different configuration";
    stream_not_found = 404, 10059, "stream not found";
    stream_not_match = 400, 10060, "expected stream does not match";
    subject_overlap = 400, 10065, "subjects overlap with an existing stream";
    replicas_not_supported = 500, 10074, "replicas > 1 not supported in non-clustered mode";
    pull_requires_ack = 400, 10084, "consumer in pull mode requires explicit ack policy on workqueue stream";
    header_too_large = 400, 10097, "header size exceeds maximum allowed of 64k";
    requires_explicit_ack = 400, 10098, "workqueue stream requires explicit ack";
    multiple_unfiltered = 400, 10099, "multiple non-filtered consumers not allowed on workqueue stream";
    consumer_not_unique = 400, 10100, "filtered consumer not unique on workqueue stream";
    not_deliver_all = 400, 10101, "consumer must be deliver all on workqueue stream";
    filter_mismatch = 400, 10131, "Consumer create request did not match filtered subject from create subject";
    name_mismatch = 400, 10132, "Consumer Durable and Name have to be equal if both are provided";
    duplicate_filters = 400, 10136, "consumer cannot have both FilterSubject and FilterSubjects specified";
    multiple_filters = 400, 10137, "consumer with multiple subject filters cannot use subject based API";
    overlapping_filters = 400, 10138, "consumer subject filters cannot overlap";
    empty_filter = 400, 10139, "consumer filter in FilterSubjects cannot be empty";
    consumer_exists = 400, 10148, "consumer already exists";
    consumer_does_not_exist = 400, 10149, "consumer does not exist";
    ttl_disabled = 400, 10166, "per-message TTL is disabled";
    expected_subject_without_sequence = 400, 10193, "missing sequence for expected last sequence per subject";
}

/// Errors whose text is another one each time.
macro_rules! worded {
    ($($name:ident = $code:literal, $err_code:literal;)*) => {
        $(#[must_use] pub fn $name(text: impl Into<String>) -> ApiError { error($code, $err_code, text) })*
    };
}

worded! {
    consumer_create = 500, 10012;
    stream_invalid_config = 500, 10052;
    message_delete_failed = 500, 10057;
    store_failed = 503, 10077;
    invalid_policy = 400, 10094;
    purge_failed = 500, 10110;
}

#[must_use]
pub fn invalid_json(text: &str) -> ApiError {
    error(400, 10025, format!("invalid JSON: {text}"))
}

#[must_use]
pub fn sequence_not_found(sequence: u64) -> ApiError {
    error(400, 10043, format!("sequence {sequence} not found"))
}

#[must_use]
pub fn wrong_last_id(id: &str) -> ApiError {
    error(400, 10070, format!("wrong last msg ID: {id}"))
}

#[must_use]
pub fn wrong_last_sequence(sequence: u64) -> ApiError {
    error(400, 10071, format!("wrong last sequence: {sequence}"))
}

#[must_use]
pub fn rollup_failed(text: &str) -> ApiError {
    error(500, 10111, text)
}

/// Not an error of the server: what the request asks for is not part of this model.
#[must_use]
pub fn not_modelled(what: &str) -> ApiError {
    error(501, 0, format!("the model of the server has no {what}"))
}
