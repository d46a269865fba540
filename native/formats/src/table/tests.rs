use proptest::prelude::*;

use super::*;

fn csv(text: &str) -> Result<Table, Fault> {
    let key = "code".to_owned();
    let options = CsvOptions { delimiter: b',', key, numbers: vec!["rate".into()], booleans: vec!["eu".into()] };
    parse(text, &Options::Csv(options))
}

fn plain(text: &str, delimiter: u8) -> Result<Table, Fault> {
    let options = CsvOptions { delimiter, key: "code".into(), numbers: Vec::new(), booleans: Vec::new() };
    parse(text, &Options::Csv(options))
}

fn json(text: &str, key: Option<&str>) -> Result<Table, Fault> {
    parse(text, &Options::Json(JsonOptions { key: key.map(str::to_owned) }))
}

fn row(table: &Table, key: &str) -> String {
    format!("{:?}", table.row(key).unwrap())
}

/// Line, column and reason.
fn wrong(result: Result<Table, Fault>) -> String {
    let fault = result.unwrap_err();
    assert_eq!(fault.code(), Code::ConfigInvalidTable, "{fault}");
    let place = fault.place();
    format!("{}:{}: {}", place.line.unwrap_or(0), place.column.unwrap_or(0), fault.reason())
}

#[test]
fn csv_becomes_rows_by_key_with_their_declared_types() {
    let table =
        csv("\u{feff}code,name,rate,eu\r\nDE,\"Germany, \"\"BRD\"\"\",0.190,true\r\n\r\nCH,Schweiz,,0\r\n").unwrap();
    assert_eq!(row(&table, "DE"), r#"{"code": "DE", "name": "Germany, \"BRD\"", "rate": 0.190, "eu": true}"#);
    assert_eq!(row(&table, "CH"), r#"{"code": "CH", "name": "Schweiz", "rate": null, "eu": false}"#);
    assert!(table.row("FR").is_none());
    assert_eq!(table.columns().len(), 4);
    let table = plain("code;text\n1;\"a\nb;c\"\n", b';').unwrap();
    assert_eq!(row(&table, "1"), r#"{"code": "1", "text": "a\nb;c"}"#);
}

#[test]
fn what_is_wrong_with_csv_has_its_line_and_column() {
    let twice = "code,name,rate,eu\nDE,a,1,true\n\"ä\",\"x\ny\",1,true\nDE,b,1,true\n";
    for (text, expected) in [
        ("", "1:1: the table has no header"),
        ("code,,b\n", "1:6: the header has a column without a name"),
        ("code,a,a\n", "1:8: the header has the column `a` twice"),
        ("code,name,rate,eu\nDE,a,1\n", "2:1: the row has 3 fields, the header 4"),
        ("code,name,rate,eu\n\nDE,a,1,2,3\n", "3:1: the row has 5 fields, the header 4"),
        ("code,name,rate,eu\nDE,ä,1 %,true\n", "2:6: `1 %` is no number"),
        ("code,name,rate,eu\nDE,\"a\nb,\",1,maybe\n", "3:7: `maybe` is neither true nor false"),
        ("code,name,rate,eu\n,a,1,true\n", "2:1: the row has no key"),
        (twice, "5:1: the key `DE` stands twice"),
        ("code,name,rate,eu\nDE,\"a,1,true\nCH,b,1,true\n", "2:4: a quote is opened here and not closed"),
        ("code,name,rate,eu\nDE,\"a\"b,1,true\n", "2:7: a quoted field goes on behind its closing quote"),
        ("code,name,rate,eu\nDE,a\u{0}b,1,true\n", "2:5: a NUL character"),
    ] {
        assert_eq!(wrong(csv(text)), expected, "{text:?}");
    }
    assert!(wrong(csv("code,name,rate,eu\nDE,5\" x,1,true\n")).starts_with("2:5: a quote stands within a field"));
}

#[test]
fn options_that_do_not_fit_the_file_are_named_by_their_pointer() {
    for (text, pointer, reason) in [
        ("id,rate,eu\n", "/key", "the table has no column `code`; it has `id`, `rate`, `eu`"),
        ("code,eu\n", "/numbers/0", "the table has no column `rate`; it has `code`, `eu`"),
    ] {
        let fault = csv(text).unwrap_err();
        assert_eq!((fault.place().pointer.as_deref(), fault.reason()), (Some(pointer), reason));
    }
}

#[test]
fn json_is_an_object_by_its_names_or_a_list_by_a_member() {
    let table = json(r#"{"EUR": 1.0800, "CHF": {"rate": [1, 2]}}"#, None).unwrap();
    assert_eq!((row(&table, "EUR"), row(&table, "CHF")), ("1.0800".into(), r#"{"rate": [1, 2]}"#.into()));
    let table = json(r#"[{"id": 7, "n": "a"}, {"id": true}]"#, Some("id")).unwrap();
    assert_eq!((row(&table, "7"), row(&table, "true")), (r#"{"id": 7, "n": "a"}"#.into(), r#"{"id": true}"#.into()));
}

#[test]
fn what_is_wrong_with_json_has_its_line_and_column() {
    for (text, key, expected) in [
        ("[\n  {\"id\": 1},\n  {\"id\": 1}]", Some("id"), "3:3: the key `1` stands twice"),
        ("[\n  {\"id\": 1},\n  3]", Some("id"), "3:3: the row is no object"),
        ("[{\"id\": null}]", Some("id"), "1:2: `id` of the row is neither text, number nor boolean"),
        ("[{}]", Some("id"), "1:2: the row has no member `id`"),
        ("[]", None, "1:1: the table is a list; name the member that is the `key` of a row"),
        ("3", None, "1:1: the table is neither an object nor a list of objects"),
    ] {
        assert_eq!(wrong(json(text, key)), expected, "{text}");
    }
    assert!(wrong(json("{\n \"a\": 1,\n}", None)).starts_with("3:1: "));
    assert!(wrong(json("{\"a\": 1, \"a\": 2}", None)).starts_with("1:10: "));
}

#[test]
fn a_table_has_its_limits() {
    let code = |result: Result<Table, Fault>| result.unwrap_err().code();
    let rows = |count: usize| format!("code\n{}", (0..count).map(|n| format!("{n}\n")).collect::<String>());
    assert!(plain(&rows(MAX_ROWS), b',').is_ok());
    assert_eq!(code(plain(&rows(MAX_ROWS + 1), b',')), Code::ConfigTooLarge);
    let wide: String = (0..100).map(|n| format!(",c{n}")).collect();
    let many = format!("code{wide}\n{}", (0..5_000).map(|n| format!("{n}{}\n", ",".repeat(100))).collect::<String>());
    assert_eq!(code(plain(&many, b',')), Code::ConfigTooLarge);
    assert_eq!(code(plain(&" ".repeat(MAX_BYTES + 1), b',')), Code::ConfigTooLarge);
}

proptest! {
    /// Whatever the text is, there is a table or a place in the file.
    #[test]
    fn no_text_panics_and_every_fault_has_a_place(text in "[a,\"\\n\\r;ä{}:1\\[\\]]{0,60}") {
        for result in [plain(&text, b','), json(&text, None), json(&text, Some("a"))] {
            if let Err(fault) = result {
                let place = fault.place();
                prop_assert!(place.line.is_some() || place.pointer.is_some(), "{fault}");
            }
        }
    }

    /// Written as the RFC says, every text comes back.
    #[test]
    fn every_quoted_text_is_read_as_it_is(texts in prop::collection::vec("[ -~ä\\n\\r\",]{0,20}", 1..20)) {
        let mut file = "code,text\n".to_owned();
        for (at, text) in texts.iter().enumerate() {
            file.push_str(&format!("{at},\"{}\"\n", text.replace('"', "\"\"")));
        }
        let table = plain(&file, b',').unwrap();
        for (at, text) in texts.iter().enumerate() {
            let row = table.row(&at.to_string()).unwrap();
            prop_assert_eq!(&*row.get("text").unwrap().text().unwrap(), &**text);
        }
    }
}
