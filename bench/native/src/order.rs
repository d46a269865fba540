//! The order that is sent: XML of about 440 bytes with two items. Only its number and its total change, in place and
//! at a fixed width.

pub struct Order {
    text: Vec<u8>,
    id: usize,
    total: usize,
    passing: bool,
}

pub const DIGITS: usize = 9;
/// Every other order is above the filter's 100.0; both have seven characters.
const TOTALS: [&[u8; 7]; 2] = [b"1234.50", b"12.3450"];

impl Order {
    /// With `passing`, every order passes the filter; otherwise those with an even number.
    pub fn new(items: usize, passing: bool) -> Order {
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
        Order { text: text.into_bytes(), id, total, passing }
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Where the number's digits begin.
    pub fn place(&self) -> usize {
        self.id
    }

    /// The order with this number.
    pub fn set(&mut self, number: usize) -> &[u8] {
        write_digits(&mut self.text[self.id..self.id + DIGITS], number);
        let total = if self.passing { TOTALS[0] } else { TOTALS[number % 2] };
        self.text[self.total..self.total + 7].copy_from_slice(total);
        &self.text
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

/// The number at this place of a payload.
#[inline]
pub fn number_at(payload: &[u8], place: usize) -> Option<usize> {
    let digits = payload.get(place..place + DIGITS)?;
    let (mut number, mut all_digits) = (0, true);
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        all_digits &= digit < 10;
        number = number * 10 + usize::from(digit);
    }
    all_digits.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_number_and_total_change_in_place() {
        let mut order = Order::new(2, false);
        let (length, place) = (order.len(), order.place());
        assert!((440..=520).contains(&length), "{length}");
        for number in [0, 1, 77, 123_456_789] {
            let text = order.set(number);
            assert_eq!((text.len(), number_at(text, place)), (length, Some(number)));
            let total = if passes(number) { &b"<total>1234.50<"[..] } else { b"<total>12.3450<" };
            assert!(memchr::memmem::find(text, total).is_some());
        }
        assert!(memchr::memmem::find(Order::new(2, true).set(77), b"<total>1234.50<").is_some());
    }

    #[test]
    fn what_has_no_number_at_its_place_has_none() {
        assert_eq!(number_at(br#"{"id":"000000042"}"#, 7), Some(42));
        assert_eq!(number_at(br#"{"id":"000000042"}"#, 8), None);
        assert_eq!(number_at(br#"{"id":"00000"#, 7), None);
    }
}
