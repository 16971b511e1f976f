// Updates without an external_id, and one that is no text. Prints what was answered.

const { MEISA_BASE_URL, MEISA_API_KEY } = process.env;

async function upsert(body) {
  const response = await fetch(`${MEISA_BASE_URL}/contacts/upsert/`, {
    method: "POST",
    headers: { "X-API-Key": MEISA_API_KEY, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, document: await response.json() };
}

const email = "kim@example.com";
console.log(
  JSON.stringify([
    await upsert({ email, external_id: "usr_1", first_name: "Kim" }),
    await upsert({ email, custom_fields: { plan: "pro", mrr: 99 } }),
    await upsert({ email, external_id: 1 }),
  ]),
);
