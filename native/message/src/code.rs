//! Every error the data plane can name. One table: the code, what the caller may do about it, and
//! the text of `docs/errors.md`. A code is never renamed; it may only be added to.

/// The part of the path that raised the error; the first half of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Config,
    Xml,
    Json,
    Convert,
    Filter,
    Set,
    Route,
    Script,
    Nats,
    Http,
    Mqtt,
    File,
    Deliver,
    Limit,
    Tenant,
    Secret,
    Connector,
    Internal,
}

macro_rules! codes {
    ($($variant:ident = $text:literal, $stage:ident, $retry:literal, $status:literal, $what:literal, $then:literal;)*) => {
        /// A stable error code, `<stage>/<kebab-reason>`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($variant,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as users see it, such as `xml/not-well-formed`.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Code::$variant => $text,)* } }

            #[must_use]
            pub const fn stage(self) -> Stage { match self { $(Code::$variant => Stage::$stage,)* } }

            /// Whether the same input may succeed later, so that the host tries again.
            #[must_use]
            pub const fn retryable(self) -> bool { match self { $(Code::$variant => $retry,)* } }

            /// The HTTP status with which an incoming connection reports it.
            #[must_use]
            pub const fn http_status(self) -> u16 { match self { $(Code::$variant => $status,)* } }

            /// What happened, in a sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str { match self { $(Code::$variant => $what,)* } }

            /// What the user can do about it, in a sentence.
            #[must_use]
            pub const fn advice(self) -> &'static str { match self { $(Code::$variant => $then,)* } }
        }
    };
}

codes! {
    // -- config: a pipeline file or an option that cannot be used ------------------------------
    ConfigInvalidYaml = "config/invalid-yaml", Config, false, 400, "The pipeline file is not valid YAML.", "Mend the YAML at the line and column named.";
    ConfigTooLarge = "config/too-large", Config, false, 400, "The pipeline file, or a file beside it, is larger than allowed.", "Keep a pipeline file under 1 MiB with its snippets, a script under 256 KiB, and a table under 4 MiB.";
    ConfigAlias = "config/alias", Config, false, 400, "The YAML uses an anchor or an alias.", "Write the value out where it is used.";
    ConfigTag = "config/tag", Config, false, 400, "The YAML uses a tag such as `!!int`.", "Remove the tag; the schema decides the type.";
    ConfigDuplicateKey = "config/duplicate-key", Config, false, 400, "A key stands twice in the same mapping.", "Keep one of the two.";
    ConfigUnknownKey = "config/unknown-key", Config, false, 400, "The key is not part of the pipeline file's schema.", "See docs/pipeline-file.md for the keys that are allowed here.";
    ConfigMissingKey = "config/missing-key", Config, false, 400, "A required key is missing.", "Add the key.";
    ConfigWrongType = "config/wrong-type", Config, false, 400, "The value has another type than the schema wants.", "Write a value of the type named.";
    ConfigInvalidValue = "config/invalid-value", Config, false, 400, "The value is of the right type, but not allowed here.", "Write a value within the bounds named.";
    ConfigInvalidName = "config/invalid-name", Config, false, 400, "A customer, pipeline, out or secret has a name that cannot become a subject, a path or a variable.", "Use 1 to 40 characters: a-z, 0-9 and inner hyphens; in the name of a secret never two in a row.";
    ConfigInvalidPath = "config/invalid-path", Config, false, 400, "A field path does not follow the path grammar.", "Write it like `order.items[0].price` or `order[\"@id\"]`.";
    ConfigInvalidExpression = "config/invalid-expression", Config, false, 400, "The expression does not compile.", "Mend it at the column named; quote expressions that YAML reads as something else.";
    ConfigExpressionTooLarge = "config/expression-too-large", Config, false, 400, "The expression is longer, deeper or has more operators than allowed.", "Keep it under 4 KiB, 32 levels and 200 operators, or move the logic to a script.";
    ConfigFileNotFound = "config/file-not-found", Config, false, 400, "A file named by the pipeline file does not exist.", "Create it, or mend the path; it is relative to the pipeline file.";
    ConfigFileOutside = "config/file-outside", Config, false, 400, "A file lies outside its folder.", "Name it without `..`: scripts, tables, snippets and payloads of tests beside the pipeline file, file outs below the customer's folder for files.";
    ConfigInvalidTable = "config/invalid-table", Config, false, 400, "A lookup table cannot be read: its CSV or JSON is torn, a column is missing, a value is not of its type, or a key stands twice.", "Mend the file at the line and column named.";
    ConfigInvalidInclude = "config/invalid-include", Config, false, 400, "An `include` names no snippet, leads back to itself, is too deep, or stands where none is taken.", "Write `{include: NAME.snippet.yaml}` in place of a part of `in`, `steps`, `out`, `limits`, `tables` or `tests`.";
    ConfigUnknownOut = "config/unknown-out", Config, false, 400, "A route names an out that is not defined.", "Define the out, or mend the name.";
    ConfigNeedsRoute = "config/needs-route", Config, false, 400, "There are several outs and no route to choose between them.", "Add a `route` as the last step.";
    ConfigNeedsConvert = "config/needs-convert", Config, false, 400, "The step edits a document that is still XML.", "Put a `convert: {from: xml}` before it.";
    ConfigNeedsAuth = "config/needs-auth", Config, false, 400, "An HTTP route without `auth` would listen beyond loopback.", "Add `auth: {bearer: {secret: NAME}}`, or write `auth: none`.";
    ConfigConflict = "config/conflict", Config, false, 409, "Two pipelines claim the same name, address or durable.", "Rename one of them.";
    ConfigUnsupportedVersion = "config/unsupported-version", Config, false, 400, "A pipeline file, or a value of a bucket, is of a version this build does not know.", "In a pipeline file write `vrsky: 1`; a value of a bucket was written by a newer build, which every node needs then.";
    ConfigTestFailed = "config/test-failed", Config, false, 400, "A test of the pipeline file did not give what it expects.", "Compare expected and actual output in the report.";
    ConfigHeaderDropped = "config/header-dropped", Config, false, 400, "A test sets a header that its HTTP in drops, so that no step ever sees it.", "Take it away; `Content-Type`, `traceparent`, `tracestate`, `X-Request-Id` and `ce-*` go on with a message, so send what steps need in one of these, such as `ce-tenant`, or in the payload.";
    ConfigNoSubstitution = "config/no-substitution", Config, false, 400, "A value holds `${NAME}`, in whose place nothing is put.", "For a value that the operator gives write `{var: NAME}`, or `{var: NAME, then: TEXT}` with the rest of the text, and run with `--var NAME=VALUE`; for a field of the message in a URL write `{order.id}`, and `%24` for a dollar sign before it.";
    ConfigMissingVariable = "config/missing-variable", Config, false, 400, "The pipeline file has a `{var: NAME}` whose value is not given.", "Give it with --var NAME=VALUE, or as VRSKY_VAR_NAME in the environment.";
    ConfigCannotExport = "config/cannot-export", Config, false, 400, "A dead letter cannot become a test, or its file cannot be written.", "Do what the hint says; `vrsky dlq show` has the message in any case.";
    ConfigTooDeep = "config/too-deep", Config, false, 400, "The pipeline file is nested deeper than allowed.", "Flatten it to 64 levels.";
    ConfigDataFolderInUse = "config/data-folder-in-use", Config, true, 409, "Another run holds the lock of this data folder.", "Stop the other run, or use another --data folder.";
    ConfigDataFolderUnusable = "config/data-folder-unusable", Config, true, 500, "The data folder is not there, or cannot be written.", "Name another one with --data, mend its permissions, or make room on its disk.";
    ConfigChangedMeanwhile = "config/changed-meanwhile", Config, true, 409, "Somebody else has changed, rolled back or deleted this pipeline, or the settings of the deployment, meanwhile.", "See what is there with `vrsky status`, `vrsky diff` and `vrsky settings show`, then do it again.";
    ConfigAboveCeiling = "config/above-ceiling", Config, false, 400, "A limit of the pipeline file is above what the operator of the node allows.", "Lower it, or have the operator raise the ceiling: `--max-cpu-ms`, `--max-memory-mb`, `--max-fuel` of `vrsky run` and `vrsky node`.";
    ConfigNotAPipeline = "config/not-a-pipeline", Config, false, 400, "What the bucket vrsky_pipelines holds under a pipeline's key is no pipeline of that name.", "Apply the pipeline's file again with `vrsky apply`, or delete the key with `vrsky delete`.";
    ConfigUnknownPipeline = "config/unknown-pipeline", Config, false, 404, "The bucket vrsky_pipelines holds no such pipeline, or no such revision of it.", "`vrsky status` lists pipelines, `vrsky history` their revisions.";
    ConfigNotSettings = "config/not-settings", Config, false, 400, "What the bucket vrsky_deployment holds is no settings of a deployment.", "Nodes go on with the last good ones; write better ones with `vrsky settings set`, and see what there was with `vrsky settings history`.";
    ConfigOtherTopology = "config/other-topology", Config, false, 409, "A node was started with another --topology than the settings of its deployment say.", "Start it without --topology, so that it follows the settings, or change them with `vrsky settings set`.";
    ConfigCanary = "config/canary", Config, false, 409, "A canary cannot run beside this revision, or a pipeline with a canary cannot be changed.", "Change steps only in a canary, and apply other changes without --canary; end a canary with `vrsky promote` or `vrsky rollback` first.";
    ConfigCannotListen = "config/cannot-listen", Config, true, 500, "The address of HTTP pipelines is taken, or not of this machine.", "Stop the program that uses it, or name another IP:PORT with --listen.";

    // -- xml ---------------------------------------------------------------------------------
    XmlNotWellFormed = "xml/not-well-formed", Xml, false, 400, "The document is not well-formed XML.", "Mend it at the byte offset named.";
    XmlDoctype = "xml/doctype", Xml, false, 400, "The document has a DOCTYPE, which is refused.", "Send it without the DOCTYPE, or write `doctype: ignore` where it only names the document type; entities are not expanded.";
    XmlUnknownEntity = "xml/unknown-entity", Xml, false, 400, "An entity other than the five of XML is used.", "Use a character reference such as `&#160;`.";
    XmlEncoding = "xml/encoding", Xml, false, 415, "The document is in an encoding that is not read, or its bytes are not of the encoding that it says.", "Send UTF-8; US-ASCII, ISO-8859-1, windows-1252 and UTF-16 are read where the Content-Type or the XML declaration says so.";
    XmlInvalidUtf8 = "xml/invalid-utf8", Xml, false, 400, "The bytes are not valid UTF-8.", "Send UTF-8.";
    XmlInvalidCharacter = "xml/invalid-character", Xml, false, 400, "A character is not allowed in XML.", "Remove the character at the byte offset named.";
    XmlUnboundPrefix = "xml/unbound-prefix", Xml, false, 400, "A namespace prefix is used that is not declared; only `namespaces: strip` asks for it.", "Declare it with xmlns:PREFIX, or keep namespaces.";
    XmlTooLarge = "xml/too-large", Xml, false, 413, "The document has more bytes than allowed.", "Send a smaller document, or raise `limits`.";
    XmlTooDeep = "xml/too-deep", Xml, false, 400, "Elements are nested deeper than allowed.", "Flatten the document.";
    XmlTooManyNodes = "xml/too-many-nodes", Xml, false, 413, "The document has more nodes than allowed.", "Split the document.";
    XmlTooManyAttributes = "xml/too-many-attributes", Xml, false, 400, "An element has more attributes than allowed.", "Use child elements.";
    XmlNameTooLong = "xml/name-too-long", Xml, false, 400, "An element or attribute name is longer than allowed.", "Use a shorter name.";

    // -- json --------------------------------------------------------------------------------
    JsonSyntax = "json/syntax", Json, false, 400, "The text is not JSON as RFC 8259 defines it.", "Mend it at the byte offset named.";
    JsonDuplicateKey = "json/duplicate-key", Json, false, 400, "A key stands twice in the same object.", "Keep one of the two.";
    JsonInvalidUtf8 = "json/invalid-utf8", Json, false, 400, "The bytes are not valid UTF-8, or an escape is half a surrogate pair.", "Send UTF-8.";
    JsonTooLarge = "json/too-large", Json, false, 413, "The text has more bytes than allowed.", "Send a smaller text, or raise `limits`.";
    JsonTooDeep = "json/too-deep", Json, false, 400, "Objects and lists are nested deeper than allowed.", "Flatten the text.";
    JsonTooManyNodes = "json/too-many-nodes", Json, false, 413, "The text has more values than allowed.", "Split the text.";

    // -- convert -----------------------------------------------------------------------------
    ConvertNotANumber = "convert/not-a-number", Convert, false, 422, "A field declared in `numbers` does not hold a JSON number.", "Mend the value, take the field out of `numbers`, or write `number_format: xml_schema` for numbers such as `+5` and `.5`.";
    ConvertNotABoolean = "convert/not-a-boolean", Convert, false, 422, "A field declared in `booleans` holds neither true, false, 1 nor 0.", "Mend the value, or take the field out of `booleans`.";
    ConvertNoSingleRoot = "convert/no-single-root", Convert, false, 422, "JSON becomes XML only from an object with exactly one member.", "Wrap it with `set` or a script.";
    ConvertInvalidXmlName = "convert/invalid-xml-name", Convert, false, 422, "A key cannot become an XML name.", "Rename the field before the convert.";
    ConvertInvalidXmlCharacter = "convert/invalid-xml-character", Convert, false, 422, "A text holds a character that XML cannot carry.", "Remove the character before the convert.";
    ConvertNameCollision = "convert/name-collision", Convert, false, 422, "Two names become the same key.", "Keep namespaces, or use another attribute prefix or text key.";
    ConvertUnexpectedFormat = "convert/unexpected-format", Convert, false, 422, "The payload is not of the format the pipeline converts from.", "Send the format named, with the matching Content-Type.";
    ConvertNotRepresentable = "convert/not-representable", Convert, false, 422, "The value has no counterpart in the other format.", "Change its shape before the convert.";
    ConvertCsvQuote = "convert/csv-quote", Convert, false, 422, "A quote in CSV opens and never closes, or stands where none may.", "Put the whole field between quotes and write each quote in it twice, or write `quote: none` where quotes are ordinary characters.";
    ConvertCsvColumns = "convert/csv-columns", Convert, false, 422, "A row of CSV has more or fewer fields than there are columns.", "Mend the row at the line named; a text with the delimiter in it stands between quotes. Look whether `delimiter` is right.";
    ConvertCsvHeader = "convert/csv-header", Convert, false, 422, "The header row of CSV is missing, or does not name every column once.", "Mend the header row, or name the columns with `columns` and write `header: skip` or `header: none`.";
    ConvertCsvEncoding = "convert/csv-encoding", Convert, false, 422, "CSV has bytes that are not UTF-8, or a NUL byte.", "Save it as CSV in UTF-8; spreadsheets offer that beside CSV.";
    ConvertCsvTooLarge = "convert/csv-too-large", Convert, false, 413, "CSV has more bytes, values or columns, or a longer field or name, than allowed.", "Split it, or raise `limits` where the reason names one of them.";

    // -- filter, set, route: expressions ------------------------------------------------------
    FilterMissingField = "filter/missing-field", Filter, false, 422, "The expression reads a field that the message does not have.", "Guard it with `has(...)`, or mend the message.";
    FilterWrongType = "filter/wrong-type", Filter, false, 422, "The expression meets a value of a type it cannot work with.", "Declare the field's type, or convert it: `double(x)`.";
    FilterNotABoolean = "filter/not-a-boolean", Filter, false, 422, "The filter's result is neither true nor false.", "Compare the value with something.";
    FilterTooExpensive = "filter/too-expensive", Filter, false, 422, "The expression used up its fuel.", "Simplify it; nested macros over long lists multiply.";
    FilterFailed = "filter/failed", Filter, false, 422, "The expression failed: division by zero, overflow, a bad argument.", "Guard the operation.";
    SetMissingField = "set/missing-field", Set, false, 422, "The expression reads a field that the message does not have.", "Guard it with `has(...)`, or mend the message.";
    SetWrongType = "set/wrong-type", Set, false, 422, "The expression meets a value of a type it cannot work with.", "Declare the field's type, or convert it: `double(x)`.";
    SetTooExpensive = "set/too-expensive", Set, false, 422, "The expression used up its fuel.", "Simplify it; nested macros over long lists multiply.";
    SetFailed = "set/failed", Set, false, 422, "The expression failed: division by zero, overflow, a bad argument.", "Guard the operation.";
    SetNotAnObject = "set/not-an-object", Set, false, 422, "The path leads through a value that is no object.", "Set the whole value, or mend the path.";
    SetNoSuchIndex = "set/no-such-index", Set, false, 422, "The path names an index that the list does not have.", "Mend the index.";
    SetNameTaken = "set/name-taken", Set, false, 422, "A rename would overwrite a field that exists.", "Remove the field first.";
    RouteMissingField = "route/missing-field", Route, false, 422, "The expression reads a field that the message does not have.", "Guard it with `has(...)`, or mend the message.";
    RouteWrongType = "route/wrong-type", Route, false, 422, "The expression meets a value of a type it cannot work with.", "Declare the field's type, or convert it: `double(x)`.";
    RouteNotABoolean = "route/not-a-boolean", Route, false, 422, "The result of a `when` is neither true nor false.", "Compare the value with something.";
    RouteTooExpensive = "route/too-expensive", Route, false, 422, "The expression used up its fuel.", "Simplify it; nested macros over long lists multiply.";
    RouteFailed = "route/failed", Route, false, 422, "The expression failed: division by zero, overflow, a bad argument.", "Guard the operation.";
    RouteNoMatch = "route/no-match", Route, false, 422, "No case of the route matched the message.", "Add a last case without `when`, or `drop: true`.";

    // -- script ------------------------------------------------------------------------------
    ScriptSyntax = "script/syntax", Script, false, 400, "The script does not parse.", "Mend it at the line and column named.";
    ScriptUnsupported = "script/unsupported", Script, false, 400, "The script uses TypeScript that cannot be stripped, or an import.", "Use erasable TypeScript: no enum, namespace, parameter property or import.";
    ScriptTooLarge = "script/too-large", Script, false, 400, "The script is longer or nested deeper than allowed.", "Keep it under 256 KiB and 256 levels of brackets.";
    ScriptNoDefaultExport = "script/no-default-export", Script, false, 400, "The script exports no default function.", "Write `export default (msg, ctx) => msg`.";
    ScriptAsync = "script/async", Script, false, 400, "The script's default export is a generator, which gives an iterator instead of a message.", "Write it without `function*` and `yield`: several messages are a list.";
    ScriptThrew = "script/threw", Script, false, 422, "The script threw an exception.", "See the line named; the message is in the dead letters.";
    ScriptNeverSettles = "script/never-settles", Script, false, 422, "The script waits for a promise that nothing settles: nothing is left to run that could.", "Look for an `await` or a returned promise whose `resolve` is never called. A script has no timers and no network to wait for.";
    ScriptNoReturn = "script/no-return", Script, false, 422, "The script returned undefined.", "Return the message, a list of messages, or null to drop it.";
    ScriptBadReturn = "script/bad-return", Script, false, 422, "The script returned something that is no JSON value.", "Return plain objects, lists, strings, finite numbers, booleans or null.";
    ScriptNumberPrecision = "script/number-precision", Script, false, 422, "The script returned a number that stands for several of the message, which JavaScript cannot tell apart.", "Send such numbers as strings, or leave them where they are.";
    ScriptLocale = "script/locale", Script, false, 422, "The script asks for a language: it uses `Intl`, or gives a locale or options to a function such as `toLocaleString`. There are none in a script.", "Leave them out, and write what is wanted with `toISOString()`, the UTC methods of Date, `toFixed()`, or `<` and `>`.";
    ScriptNoRoom = "script/no-room", Script, true, 503, "Customers' scripts wait for one another: their workers may use all of the memory that they have together.", "Give them more by `--script-memory`, lower `--max-memory-mb`, or add nodes.";
    ScriptTimeout = "script/timeout", Script, false, 422, "The script used more CPU time than allowed.", "Make it faster, or raise `limits.script.cpu_ms`.";
    ScriptOutOfMemory = "script/out-of-memory", Script, false, 422, "The script used more memory than allowed.", "Use less, or raise `limits.script.memory_mb`.";
    ScriptStackOverflow = "script/stack-overflow", Script, false, 422, "The script recursed too deep.", "Use a loop.";
    ScriptTooManyOutputs = "script/too-many-outputs", Script, false, 422, "The script returned more messages than allowed.", "Return at most 1,000 messages for one.";
    ScriptOutputTooLarge = "script/output-too-large", Script, false, 422, "The script returned more than allowed.", "Return less; 16 MiB in all, and 256 levels deep.";
    ScriptKilled = "script/killed", Script, false, 422, "The script did not stop at its limit and was ended.", "Avoid long-running built-ins on large values.";
    ScriptQuarantined = "script/quarantined", Script, true, 503, "The script had to be killed again and again, and rests for a while.", "See the dead letters with `script/killed`, and mend the script; it is tried again by itself.";
    ScriptUnavailable = "script/unavailable", Script, true, 503, "The script executor is gone or full.", "It is tried again.";

    // -- nats --------------------------------------------------------------------------------
    NatsConnect = "nats/connect", Nats, true, 503, "No connection to the NATS server.", "Check the address, and that the server runs.";
    NatsAuthorization = "nats/authorization", Nats, false, 503, "The NATS server refused the credentials or the subject.", "Check user, password or token, and the permissions.";
    NatsDisconnected = "nats/disconnected", Nats, true, 503, "The connection to the NATS server was lost.", "It is restored by itself.";
    NatsProtocol = "nats/protocol", Nats, true, 502, "The NATS server sent something that is not its protocol.", "Check that the address is a NATS server.";
    NatsTimeout = "nats/timeout", Nats, true, 503, "The NATS server did not answer in time.", "Check the server's load; it is tried again.";
    NatsMaxHeaders = "nats/max-headers", Nats, false, 413, "The message's headers are larger than the 64 KiB that a stream of NATS takes.", "Send fewer or shorter headers; what is large belongs into the payload.";
    NatsMaxPayload = "nats/max-payload", Nats, false, 413, "The message is larger than the NATS server's max_payload.", "Send less, or raise max_payload.";
    NatsHeadersOnly = "nats/headers-only", Nats, true, 503, "A durable gives the message without its payload.", "Turn headers_only of the durable off; its messages come again by themselves until then.";
    NatsNoStream = "nats/no-stream", Nats, true, 503, "No stream listens on the subject, or another one than the out's `stream`.", "Create one that takes the subject, or correct `stream`; `vrsky run` makes only its own, also again when one was deleted.";
    NatsStreamFull = "nats/stream-full", Nats, true, 503, "The stream, or the server's disk, is full.", "Free space or raise the stream's limits; it is tried again.";
    NatsRefused = "nats/refused", Nats, false, 502, "JetStream refused the request.", "See the description of the server.";
    NatsWouldDiscard = "nats/would-discard", Nats, false, 409, "The stream holds messages that a lower cap would delete.", "Keep the cap, or drain the stream first.";
    NatsServerStart = "nats/server-start", Nats, false, 503, "The embedded NATS server did not start.", "See the log file named; set NATS_SERVER to use another binary.";
    NatsTlsMissing = "nats/tls-missing", Nats, true, 503, "TLS was asked for, and the NATS server does not speak it.", "Turn TLS on at the server, or use nats:// without certificates.";
    NatsTlsUnknownCa = "nats/tls-unknown-ca", Nats, true, 503, "The NATS server's certificate is of an authority that is not trusted.", "Name the authority's certificate with --nats-ca.";
    NatsTlsWrongName = "nats/tls-wrong-name", Nats, true, 503, "The NATS server's certificate is for another name.", "Connect by a name or address that the certificate has, or issue it for this one.";
    NatsTlsExpired = "nats/tls-expired", Nats, true, 503, "The NATS server's certificate has expired, or is not valid yet.", "Renew it; if it is in date, set this machine's clock.";
    NatsTlsClientCertificate = "nats/tls-client-certificate", Nats, true, 503, "The NATS server wants a client certificate, or refused the one it got.", "Name one of an authority the server trusts with --nats-cert and --nats-key.";
    NatsTlsHandshake = "nats/tls-handshake", Nats, true, 503, "No TLS connection to the NATS server came about.", "See the detail, and the server's log.";
    NatsLeaseLost = "nats/lease-lost", Nats, true, 503, "The node could not renew its lease in time: it has stopped to read sources that one node alone may read.", "Another node goes on with them within seconds, or this one when it reaches the server again; look at what kept it from the server, or froze it.";
    NatsHeader = "nats/header", Nats, false, 400, "A header cannot be carried by NATS.", "Remove CR, LF and colons from header names.";

    // -- http --------------------------------------------------------------------------------
    HttpBadRequest = "http/bad-request", Http, false, 400, "The request is not usable.", "See the detail.";
    HttpTransferCoding = "http/transfer-coding", Http, false, 501, "The body has a Transfer-Encoding other than `chunked`.", "Send it as it is, chunked or with a Content-Length.";
    HttpUnauthorized = "http/unauthorized", Http, false, 401, "The token, password or key is missing or wrong.", "Send what `auth` of the in asks for, such as `Authorization: Bearer TOKEN`.";
    HttpSignatureMissing = "http/signature-missing", Http, false, 401, "The request has no signature, or not all that is signed.", "Let the sender sign with the secret of this path; see the detail for the header.";
    HttpSignatureMalformed = "http/signature-malformed", Http, false, 401, "The signature, or its time, is not written as its sender writes it.", "Compare the header named with `auth` of the in: sender, encoding, prefix and algorithm.";
    HttpSignatureWrong = "http/signature-wrong", Http, false, 401, "The signature does not belong to this body and a secret of this path.", "Compare the secrets of both sides, and look whether something on the way changes the body.";
    HttpSignatureExpired = "http/signature-expired", Http, false, 401, "The signature was made too long ago, or in the future.", "Set the clocks of both sides; a request that is sent again has to be signed again, or raise `tolerance`.";
    HttpHandshakeRefused = "http/handshake-refused", Http, false, 403, "The handshake of a webhook's sender was refused.", "Compare the verify token, the origin or the challenge with `handshake` of the in.";
    HttpNotFound = "http/not-found", Http, false, 404, "No pipeline listens on this path.", "Check the path: /in/CUSTOMER/PATH.";
    HttpMethodNotAllowed = "http/method-not-allowed", Http, false, 405, "The path does not take this method.", "Use one of those that the answer's `Allow` names, or add it to `methods` of the in.";
    HttpTooLarge = "http/too-large", Http, false, 413, "The body has more bytes than allowed, or a form more than 10,000 names and values.", "Send less, or raise `max_body`, `limits.bytes` and the NATS server's max_payload; send what has so many fields as JSON.";
    HttpUnsupportedMediaType = "http/unsupported-media-type", Http, false, 415, "The Content-Type, its charset or the Content-Encoding is not accepted.", "Send JSON in UTF-8, or XML in UTF-8 or the charset that its Content-Type says; as it is, or with Content-Encoding: gzip.";
    HttpForbidden = "http/forbidden", Http, false, 403, "The path has no `auth` and serves this machine only.", "Add `auth: {bearer: {secret: NAME}}`, or write `auth: none`.";
    HttpRequestTimeout = "http/request-timeout", Http, true, 408, "The request's body did not arrive in time.", "Send it again, faster, with the same Idempotency-Key.";
    HttpUnavailable = "http/unavailable", Http, true, 503, "The message could not be stored now.", "Send it again after Retry-After, with the same Idempotency-Key.";
    HttpConnect = "http/connect", Http, true, 502, "The outgoing server could not be reached.", "Check its address; it is tried again.";
    HttpTimeout = "http/timeout", Http, true, 504, "The outgoing server did not answer in time.", "It is tried again.";
    HttpLoop = "http/loop", Http, false, 508, "The message goes round: outs have posted it to ins too often.", "Look which out leads back to an in that it came from; a chain may have 15 posts.";
    HttpKeyReused = "http/key-reused", Http, false, 422, "The `Idempotency-Key` came before, with another body.", "Send the body that came first, or use a new key for every message.";
    HttpAmbiguous = "http/ambiguous", Http, false, 504, "The outgoing server may or may not have taken the message.", "Check there; with `retry: safe` it is not sent again.";
    HttpServerError = "http/server-error", Http, true, 502, "The outgoing server answered 408, 425, 429 or 5xx.", "It is tried again, honouring Retry-After.";
    HttpRejected = "http/rejected", Http, false, 502, "The outgoing server refused the message for good.", "Mend the message or the server; `vrsky dlq show N --payload` has what was to be sent.";
    HttpRedirect = "http/redirect", Http, false, 502, "The outgoing server answered with a redirect, which is not followed.", "Use the final URL, or allow redirects on this out.";
    HttpBadResponse = "http/bad-response", Http, true, 502, "The outgoing server's answer is broken or cut off.", "It is tried again.";
    HttpRefusedAddress = "http/refused-address", Http, false, 502, "The URL leads to an address that is not allowed.", "Use a public address, or let the operator name this one, or its network, with --allow.";
    HttpBadUrl = "http/bad-url", Http, false, 422, "A placeholder gave no usable URL.", "Check the field; empty, `.`, `..` and control characters are refused.";
    HttpBatchNotJson = "http/batch-not-json", Http, false, 422, "The out puts several messages of JSON into one request, and the message is no JSON.", "Put a `convert` to JSON before the out, or take its `batch` away.";
    HttpOauthRefused = "http/oauth-refused", Http, true, 502, "The token server refused the out's client.", "Check client id, secret, scopes and audience; messages wait meanwhile.";
    HttpOauthUnavailable = "http/oauth-unavailable", Http, true, 502, "The token server was not reached, did not answer in time, or answered 408, 425, 429 or 5xx.", "Check `token_url`; it is asked again.";
    HttpOauthBadAnswer = "http/oauth-bad-answer", Http, true, 502, "The token server's answer holds no bearer token that can be used.", "Check that `token_url` is that of OAuth 2.0 tokens; it is asked again.";
    HttpOauthTokenRejected = "http/oauth-token-rejected", Http, true, 502, "The outgoing server answered 401 to a token that was just made.", "Check scopes and audience, and that the server believes this token server; messages wait meanwhile.";

    // -- mqtt --------------------------------------------------------------------------------
    MqttConnect = "mqtt/connect", Mqtt, true, 502, "The MQTT broker could not be reached.", "Check its address, and that it runs; it is tried again.";
    MqttRefusedAddress = "mqtt/refused-address", Mqtt, false, 502, "The broker's address is not allowed.", "Use a public address, or let the operator name this one, or its network, with --allow.";
    MqttTls = "mqtt/tls", Mqtt, true, 502, "No TLS connection to the MQTT broker came about.", "See the detail and the broker's log; `tls.ca` names its authority, `tls.certificate` and `tls.key` are ours.";
    MqttTimeout = "mqtt/timeout", Mqtt, true, 504, "The MQTT broker did not answer in time.", "Check the broker's load; it is tried again.";
    MqttDisconnected = "mqtt/disconnected", Mqtt, true, 503, "The connection to the MQTT broker was lost.", "It is restored by itself; when it is lost again and again, see the broker's log.";
    MqttVersion = "mqtt/version", Mqtt, false, 502, "The MQTT broker does not speak this version of the protocol.", "Write `version: v3.1.1` for a broker that knows no MQTT 5, and `version: v5` for one that knows nothing else.";
    MqttClientId = "mqtt/client-id", Mqtt, false, 502, "The MQTT broker refuses the client's id.", "Write a `client_id` that it allows; some take 23 letters and digits only.";
    MqttUnauthorized = "mqtt/unauthorized", Mqtt, false, 502, "The MQTT broker refuses the user, the password or the certificate.", "Check `user`, `password` and `tls`, and what the broker knows of them.";
    MqttForbidden = "mqtt/forbidden", Mqtt, false, 502, "The MQTT broker does not let this client do that.", "Let the broker's access list allow the topic to this user or client id.";
    MqttUnavailable = "mqtt/unavailable", Mqtt, true, 503, "The MQTT broker takes no clients now.", "It is tried again.";
    MqttQuotaExceeded = "mqtt/quota-exceeded", Mqtt, true, 503, "A quota of the MQTT broker is used up.", "It is tried again; raise the broker's limit, or send less.";
    MqttServerMoved = "mqtt/server-moved", Mqtt, false, 502, "The MQTT broker says that another one is to be used.", "Write the address of that one.";
    MqttTopicInvalid = "mqtt/topic-invalid", Mqtt, false, 422, "The topic cannot be used.", "A field in a topic must have a value without `/`, `+`, `#` and control characters; the broker may have rules of its own.";
    MqttNotSupported = "mqtt/not-supported", Mqtt, false, 502, "The MQTT broker does not offer what the pipeline asks for.", "Write a lower `qos` or `session_expiry`, leave out `retain`, `share` or wildcards, as the detail says, or turn it on at the broker.";
    MqttSessionTaken = "mqtt/session-taken", Mqtt, true, 503, "Another client has connected to the MQTT broker with the same client id.", "Give each its own `client_id`; with `share` several take turns on one topic.";
    MqttPacketTooLarge = "mqtt/packet-too-large", Mqtt, false, 413, "An MQTT packet is larger than the one who gets it allows.", "Raise `max_packet` or the broker's limit, or send less; with MQTT 5 a broker knows the limit and holds larger messages back.";
    MqttMalformed = "mqtt/malformed", Mqtt, true, 502, "The MQTT broker sent something that is not MQTT, or not allowed then.", "Check that the address is an MQTT broker's, and the `version`.";
    MqttPayloadRefused = "mqtt/payload-refused", Mqtt, false, 502, "The MQTT broker refuses the payload.", "See the detail; `vrsky dlq show N --payload` has what was to be sent.";
    MqttState = "mqtt/state", Mqtt, true, 500, "Which topics an MQTT in is subscribed to could not be read or written.", "Mend the folder `files/.sources` of the node: its disk or its permissions; until then topics that the pipeline no longer names are delivered on.";
    MqttLoop = "mqtt/loop", Mqtt, false, 508, "The message goes round: outs have passed it on to ins too often.", "Look which out leads back to an in that it came from; a chain may have 15 outs of MQTT and HTTP.";
    MqttRejected = "mqtt/rejected", Mqtt, true, 502, "The MQTT broker refused, without a reason that says what to do.", "See the detail and the broker's log; it is tried again.";

    // -- file --------------------------------------------------------------------------------
    FileWrite = "file/write", File, true, 500, "The file could not be written.", "Check space and permissions; it is tried again.";
    FileOutside = "file/outside", File, false, 400, "The path leaves the customer's folder for files, or is a symlink.", "Use a relative path without `..`; an absolute one needs the option `--files-anywhere`.";
    FileRead = "file/read", File, true, 500, "The folder of a file in, or a file in it, could not be read.", "Check that they are there and may be read; it is tried again.";
    FileMissing = "file/missing", File, true, 500, "The folder of a file in was there, and is not any more.", "Mount its disk or put it back; it goes on where it was. Make a new folder when the old one is to be forgotten.";
    FileInUse = "file/in-use", File, true, 500, "Another shard or node reads the files of this in.", "Let one node serve the pipeline; this one goes on when the other has stopped.";
    FileState = "file/state", File, true, 500, "How far a file in has come could not be read or written.", "Mend the folder named: its disk, its permissions, or `files.json` in it; without that file, all files are read again.";
    FileChanged = "file/changed", File, true, 500, "A file became shorter, or another one, while it was read.", "Write to another name and rename the file when it is complete; it is read again as a new file.";
    FileTooLong = "file/too-long", File, false, 413, "A file, or a line or row of it, is longer than a message may be.", "Split it, or raise `limits.bytes`; the file is left where it is until it has changed.";
    FileGzip = "file/gzip", File, false, 422, "A file with a name in `.gz` is no gzip, is cut off, or holds 64 MiB without a message.", "Put the whole file there again; it is left where it is until it has changed.";
    FileTooMany = "file/too-many", File, true, 500, "The folder of a file in has more files than are kept track of.", "Move or delete files that are done (`done`), or give them another name or folder.";

    // -- deliver -----------------------------------------------------------------------------
    DeliverTooManyDeliveries = "deliver/too-many-deliveries", Deliver, false, 500, "The message was delivered too often without a verdict.", "Look at the node's log for what sent it back, or for crashes.";
    DeliverRetriesExhausted = "deliver/retries-exhausted", Deliver, false, 502, "The out stayed unreachable for as long as retries are allowed.", "Mend the outgoing server; `vrsky dlq show N --payload` has what was to be sent.";
    DeliverTooManyOutputs = "deliver/too-many-outputs", Deliver, false, 422, "One message became more outputs than allowed.", "At most 1,000 outputs and 16 MiB for one message.";
    DeliverUnknownOut = "deliver/unknown-out", Deliver, false, 500, "The message is for an out that this revision does not have.", "Restore the out for those that still wait; `vrsky dlq show N --payload` has what this one was to send.";
    DeliverBadHandover = "deliver/bad-handover", Deliver, false, 500, "What one node has handed over to the next cannot be read.", "Send the message again from where it came; the letter has the bytes that were handed over.";
    DeliverUnknownStep = "deliver/unknown-step", Deliver, false, 500, "The part is to go on at a step that this revision does not have.", "Restore the step, or send the whole message again; `vrsky dlq show N --payload` has the part.";

    // -- limit -------------------------------------------------------------------------------
    LimitRate = "limit/rate", Limit, true, 429, "The customer sends faster than its rate.", "Send slower; Retry-After says when.";
    LimitBacklog = "limit/backlog", Limit, true, 429, "The customer's backlog is full.", "Wait until it has drained.";
    LimitMemory = "limit/memory", Limit, true, 503, "The node's queues are full.", "Wait, or add nodes.";

    // -- tenant, secret, connector, internal ---------------------------------------------------
    TenantMismatch = "tenant/mismatch", Tenant, false, 403, "The Customer-ID header and the subject name different customers.", "Publish under the own customer's subject only.";
    TenantMoving = "tenant/moving", Tenant, true, 503, "The customer moves between shared lanes and lanes of its own; its ins take nothing in meanwhile.", "Send it again; `vrsky status` says what the move waits for.";
    TenantUnknownPipeline = "tenant/unknown-pipeline", Tenant, true, 404, "No pipeline of this name is installed for the customer.", "Install it; the message waits.";
    SecretNotFound = "secret/not-found", Secret, false, 500, "The secret is not defined for this customer.", "Set VRSKY_SECRET_<CUSTOMER>__<NAME>, or the file <dir>/<customer>/<name>.";
    SecretEmpty = "secret/empty", Secret, false, 500, "A secret has no value.", "Write one into its file or variable; one that changes is best put in place by a rename.";
    ConnectorNotConnected = "connector/not-connected", Connector, true, 503, "The connector lost its connection.", "It is restored by itself.";
    ConnectorTooLarge = "connector/too-large", Connector, false, 413, "A message of a source has more bytes than the pipeline takes.", "Send less, or raise `limits.bytes` and the NATS server's max_payload.";
    InternalPanic = "internal/panic", Internal, false, 500, "A defect of ours, caught at the border.", "Report it with the message's id.";
    InternalForked = "internal/forked", Internal, false, 500, "An object was used after a fork.", "Create it in the process that uses it.";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_start_with_their_stage() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            let (stage, reason) = code.as_str().split_once('/').unwrap_or_default();
            assert_eq!(stage, format!("{:?}", code.stage()).to_lowercase());
            assert!(
                !reason.is_empty() && reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
    }
}
