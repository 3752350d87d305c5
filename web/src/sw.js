// Keeps the page and its models on the device, so that it works without a network; FILES and VERSION come from
// build.js. A new version is used once no window of the old one is open.

const CACHE = `flipdetect-${VERSION}`;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })))));
});

addEventListener("activate", (event) => {
  const outdated = (names) => names.filter((name) => name.startsWith("flipdetect-") && name !== CACHE);
  const clean = caches.keys().then((names) => Promise.all(outdated(names).map((name) => caches.delete(name))));
  event.waitUntil(clean.then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith(answer(event.request));
});

async function answer(request) {
  const wanted = request.mode === "navigate" ? "./" : request;
  const found = await caches.match(wanted, { cacheName: CACHE, ignoreSearch: true });
  return found ? isolated(found) : fetch(request);
}

/** With these headers browsers allow threads, also from a host that cannot set them. */
function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, headers });
}
