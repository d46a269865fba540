//! The order that is sent: XML of about 460 bytes with two items, in which only the number and the
//! total change, in place and at a fixed width.

pub struct Order {
    text: Vec<u8>,
    id: usize,
    total: usize,
}

pub const DIGITS: usize = 9;
/// Every other order is above the filter's 100.0; both have seven characters.
const TOTALS: [&[u8; 7]; 2] = [b"1234.50", b"12.3450"];

impl Order {
    pub fn new(items: usize) -> Order {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<order id=\"000000000\" currency=\"CHF\">\n  <customer><id>778812</id>\
             <name>M\u{fc}ller &amp; S\u{f6}hne AG</name><email>einkauf@mueller.example</email></customer>\n  \
             <country>CH</country><total>1234.50</total>\n  <items>\n",
        );
        for item in 0..items {
            text.push_str(&format!(
                "    <item sku=\"SKU-{item:05}\"><qty>{}</qty><price>{}.25</price><text>Part no {item}</text></item>\n",
                item % 9 + 1,
                item % 97
            ));
        }
        text.push_str("  </items>\n</order>\n");
        let id = text.find("000000000").unwrap();
        let total = text.find("1234.50").unwrap();
        Order { text: text.into_bytes(), id, total }
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The order with this number.
    pub fn set(&mut self, number: usize) -> &[u8] {
        write_digits(&mut self.text[self.id..self.id + DIGITS], number);
        self.text[self.total..self.total + 7].copy_from_slice(TOTALS[number % 2]);
        &self.text
    }

    pub fn at(mut self, number: usize) -> Vec<u8> {
        self.set(number).to_vec()
    }
}

/// Whether the filter lets this order pass.
pub fn passes(number: usize) -> bool {
    number.is_multiple_of(2)
}

pub fn write_digits(place: &mut [u8], number: usize) {
    let mut rest = number;
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap();
        rest /= 10;
    }
}

/// The number in what came back: nine digits after `id="` or `id":"`.
pub fn number_in(payload: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) =
        memchr::memmem::find(&payload[from..], b"id\"").or_else(|| memchr::memmem::find(&payload[from..], b"id="))
    {
        let rest = &payload[from + found + 2..];
        let start = rest.iter().position(u8::is_ascii_digit)?;
        let digits = rest.get(start..start + DIGITS)?;
        if start <= 4 && digits.iter().all(u8::is_ascii_digit) {
            return Some(crate::wire::number(digits));
        }
        from += found + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_number_and_total_change_in_place() {
        let mut order = Order::new(2);
        let length = order.len();
        assert!((440..=520).contains(&length), "{length}");
        for number in [0, 1, 77, 123_456_789] {
            let text = order.set(number);
            assert_eq!((text.len(), number_in(text)), (length, Some(number)));
            let total = if passes(number) { &b"<total>1234.50<"[..] } else { b"<total>12.3450<" };
            assert!(memchr::memmem::find(text, total).is_some());
        }
    }

    #[test]
    fn the_number_is_found_in_json_too() {
        assert_eq!(number_in(br#"{"order":{"@id":"000000042","customer":{"id":"778812"}}}"#), Some(42));
        assert_eq!(number_in(br#"{"order":{"customer":{"id":"778812"},"@id":"000000042"}}"#), Some(42));
        assert_eq!(number_in(br#"{"order":{"customer":{"id":"778812"}}}"#), None);
        assert_eq!(number_in(b""), None);
    }
}
