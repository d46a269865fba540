type Contact = { email?: unknown; country?: unknown; born?: unknown };

// Made once, and kept while the runtime lives.
const ADDRESS = /^[^@\s]+@[^@\s]+\.[a-z]{2,}$/i;
const COUNTRY = /^[A-Z]{2}$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

const isDay = (text: string): boolean => {
  const time = Date.parse(`${text}T00:00:00Z`);
  // A 30th of February would be the 2nd of March.
  return DAY.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
};

export default (msg: Contact) => {
  const errors: string[] = [];
  if (typeof msg.email !== "string" || !ADDRESS.test(msg.email)) errors.push("email is no address");
  if (typeof msg.country !== "string" || !COUNTRY.test(msg.country)) errors.push("country is no code of two letters");
  if (typeof msg.born !== "string" || !isDay(msg.born)) errors.push("born is no date");
  return errors.length === 0 ? msg : { message: msg, errors };
};
