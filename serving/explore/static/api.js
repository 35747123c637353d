// What the page's server answers.

export async function get(path, address, signal) {
  let response;
  try {
    response = await fetch(`api/${path}?${address}`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The page's server does not answer: is `recommender explore` still running?");
  }
  const answer = await response.json().catch(() => ({ error: `The page's server answered ${response.status}` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
