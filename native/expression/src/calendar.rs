//! The getters of timestamps and durations.

use crate::calls::no_overload;
use crate::failure::Mishap;
use crate::functions::Function;
use crate::operand::Operand;
use crate::time::{Duration, Timestamp, zone_offset};

/// `arguments` are the timestamp or duration, and for a timestamp perhaps a zone.
pub(crate) fn get<'a>(function: Function, arguments: &[Operand<'a>]) -> Result<Operand<'a>, Mishap> {
    let part = match arguments {
        [Operand::Timestamp(time)] => of_timestamp(function, *time, 0),
        [Operand::Timestamp(time), Operand::Text(zone)] => of_timestamp(function, *time, zone_offset(zone)?),
        [Operand::Duration(length)] => of_duration(function, *length),
        _ => None,
    };
    part.map(Operand::Int).ok_or_else(|| no_overload(function, arguments))
}

fn of_timestamp(function: Function, time: Timestamp, offset: i64) -> Option<i64> {
    let civil = time.civil(offset);
    Some(match function {
        Function::GetFullYear => civil.year,
        Function::GetMonth => civil.month - 1,
        Function::GetDate => civil.day,
        Function::GetDayOfMonth => civil.day - 1,
        Function::GetDayOfWeek => civil.day_of_week,
        Function::GetDayOfYear => civil.day_of_year,
        Function::GetHours => civil.hour,
        Function::GetMinutes => civil.minute,
        Function::GetSeconds => civil.second,
        Function::GetMilliseconds => civil.millisecond,
        _ => return None,
    })
}

/// The whole duration in the unit, but for milliseconds, which are those beside the seconds.
fn of_duration(function: Function, length: Duration) -> Option<i64> {
    const SECOND: i128 = 1_000_000_000;
    Some(match function {
        Function::GetHours => length.whole(3600 * SECOND),
        Function::GetMinutes => length.whole(60 * SECOND),
        Function::GetSeconds => length.whole(SECOND),
        Function::GetMilliseconds => length.milliseconds(),
        _ => return None,
    })
}
