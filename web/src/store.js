// The captured spreads, in the browser's own database: they survive a reload, a call, an empty battery.

const NAME = "flipdetect";
const SPREADS = "spreads";

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function spreads(mode) {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(SPREADS, { keyPath: "id", autoIncrement: true });
  const database = await settled(request);
  return database.transaction(SPREADS, mode).objectStore(SPREADS);
}

/** All spreads `{id, blob, width, height}`, in the order in which they were captured. */
export const allSpreads = async () => settled((await spreads("readonly")).getAll());

/** Keeps a spread, in the place of the one with its `id` if it has one; returns the id. */
export const saveSpread = async (spread) => settled((await spreads("readwrite")).put(spread));

export const deleteSpread = async (id) => settled((await spreads("readwrite")).delete(id));

export const deleteAllSpreads = async () => settled((await spreads("readwrite")).clear());
