// A user's way through an application: signs up, upgrades, leaves. Prints what was answered.

const { MEISA_BASE_URL, MEISA_API_KEY } = process.env;

class Integration {
  constructor(baseUrl, apiKey) {
    this.baseUrl = baseUrl;
    this.apiKey = apiKey;
  }

  async send(path, body) {
    const response = await fetch(this.baseUrl + path, {
      method: "POST",
      headers: { "X-API-Key": this.apiKey, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, document: await response.json() };
  }

  syncUser(user, more = {}) {
    return this.send("/contacts/upsert/", {
      email: user.email,
      external_id: user.id,
      first_name: user.firstName,
      last_name: user.lastName,
      custom_fields: {
        plan: user.plan,
        billing_cycle: user.billingCycle,
        mrr: user.subscription?.mrr,
        ...more,
      },
    });
  }
}

const meisa = new Integration(MEISA_BASE_URL, MEISA_API_KEY);
const now = () => new Date().toISOString();
const user = { id: "usr_9", email: "lee@example.com", firstName: "Lee", plan: "free" };
const answers = [];

// What the user object lacks is undefined, and JSON leaves it out.
answers.push(await meisa.syncUser(user, { signup_source: "website", signup_date: now() }));
Object.assign(user, { plan: "pro", billingCycle: "annual", subscription: { mrr: 99 } });
answers.push(await meisa.syncUser(user, { upgraded_at: now() }));
answers.push(
  await meisa.syncUser(
    { ...user, plan: "churned" },
    { previous_plan: "pro", churned_at: now(), churn_reason: "too_expensive" },
  ),
);
console.log(JSON.stringify(answers));
