// An extruded view of plans: buildings, ground, trees and the sun's shadows, by three.js.
//
// The sheet lies in the plane y = 0: x runs to its right, z down it, y up from the ground, in
// meters. Ground is painted layer on layer without depth, so that nothing flickers; what stands on
// it comes after. A picture is drawn only when something changed.

const RAD = Math.PI / 180;
const START = { azimuth: -28, polar: 52, field: 30 }; // degrees
const LOWEST_SUN = 0.02; // sine of the altitude under which shadows have no end
const PAINT = { sheet: "#f6f4ef", edge: "#4a4440", around: "#dcd7d0", roof_around: "#e6e2dc", trunk: "#7d6a55",
  crown: "#7ea872", site: "#a8442c" };

// Where the sun stands as [east, north, up], a unit vector; all in degrees, hour in solar time.
function sunDirection(latitude, declination, hour) {
  const turn = 15 * (hour - 12) * RAD;
  const [sinPlace, cosPlace] = [Math.sin(latitude * RAD), Math.cos(latitude * RAD)];
  const [sinTilt, cosTilt] = [Math.sin(declination * RAD), Math.cos(declination * RAD)];
  return [
    -cosTilt * Math.sin(turn),
    cosPlace * sinTilt - sinPlace * cosTilt * Math.cos(turn),
    sinPlace * sinTilt + cosPlace * cosTilt * Math.cos(turn),
  ];
}

// The same on the sheet, where true north lies `north` degrees clockwise from its upper edge: [x, y, z].
function onSheet([east, north, up], northDeg) {
  const [sin, cos] = [Math.sin(northDeg * RAD), Math.cos(northDeg * RAD)];
  return [east * cos + north * sin, up, east * sin - north * cos];
}

// Rings of a polygon, [x0, y0, x1, y1, ...] in whole centimeters, as points in meters.
function ringsOf(polygon, unit) {
  return polygon.map((flat) => {
    const ring = [];
    for (let i = 0; i < flat.length; i += 2) ring.push(new THREE.Vector2(flat[i] * unit, flat[i + 1] * unit));
    return ring;
  });
}

function capOf(rings) {
  const corners = rings.flat();
  return { corners, faces: THREE.ShapeUtils.triangulateShape(rings[0], rings.slice(1)) };
}

// Gathers triangles with their normals, and colors where they differ.
class Mason {
  constructor() { this.places = []; this.normals = []; this.colors = []; this.edges = []; }

  triangle(a, b, c, normal, color) {
    for (const p of [a, b, c]) {
      this.places.push(...p);
      this.normals.push(...normal);
      if (color) this.colors.push(color.r, color.g, color.b);
    }
  }

  // Triangles of a polygon at a height, seen from above (or from below).
  cap(rings, height, color, up = true) {
    const { corners, faces } = capOf(rings);
    const at = (i) => [corners[i].x, height, corners[i].y];
    for (const [a, b, c] of faces) {
      const cross = (corners[b].x - corners[a].x) * (corners[c].y - corners[a].y)
        - (corners[b].y - corners[a].y) * (corners[c].x - corners[a].x);
      const order = cross > 0 === up ? [a, c, b] : [a, b, c];
      this.triangle(at(order[0]), at(order[1]), at(order[2]), [0, up ? 1 : -1, 0], color);
    }
  }

  // Walls of all rings; outer rings and holes must turn opposite ways, so that walls face outward.
  walls(rings, low, high, color) {
    for (const ring of rings) {
      ring.forEach((p, i) => {
        const q = ring[(i + 1) % ring.length];
        const length = Math.hypot(q.x - p.x, q.y - p.y);
        if (length < 1e-6) return;
        const normal = [(q.y - p.y) / length, 0, -(q.x - p.x) / length];
        const [a, b, c, d] = [[p.x, low, p.y], [q.x, low, q.y], [q.x, high, q.y], [p.x, high, p.y]];
        this.triangle(a, c, b, normal, color);
        this.triangle(a, d, c, normal, color);
        this.edges.push(...d, ...c);
        const o = ring[(i + ring.length - 1) % ring.length];
        const bend = Math.abs((p.x - o.x) * (q.y - p.y) - (p.y - o.y) * (q.x - p.x));
        if (bend > 0.25 * length * Math.hypot(p.x - o.x, p.y - o.y)) this.edges.push(...a, ...d);
      });
    }
  }

  geometry() {
    const made = new THREE.BufferGeometry();
    made.setAttribute("position", new THREE.BufferAttribute(new Float32Array(this.places), 3));
    made.setAttribute("normal", new THREE.BufferAttribute(new Float32Array(this.normals), 3));
    if (this.colors.length) made.setAttribute("color", new THREE.BufferAttribute(new Float32Array(this.colors), 3));
    return made;
  }

  lines(color) {
    const made = new THREE.BufferGeometry();
    made.setAttribute("position", new THREE.BufferAttribute(new Float32Array(this.edges), 3));
    return new THREE.LineSegments(made, new THREE.LineBasicMaterial({ color }));
  }
}

// One layer of ground; later ones lie over earlier ones.
function groundMesh(layer, order, data) {
  const mason = new Mason();
  layer.p.forEach((polygon) => mason.cap(ringsOf(polygon, data.unit_m), 0));
  const paint = new THREE.MeshLambertMaterial({ color: data.colors[layer.c], depthWrite: false, depthTest: false });
  const mesh = new THREE.Mesh(mason.geometry(), paint);
  mesh.receiveShadow = true;
  mesh.renderOrder = order;
  return mesh;
}

function siteLine(polygons, data) {
  const places = [];
  for (const polygon of polygons) {
    for (const ring of ringsOf(polygon, data.unit_m)) {
      ring.forEach((p, i) => {
        const q = ring[(i + 1) % ring.length];
        places.push(p.x, 0, p.y, q.x, 0, q.y);
      });
    }
  }
  const made = new THREE.BufferGeometry();
  made.setAttribute("position", new THREE.BufferAttribute(new Float32Array(places), 3));
  const line = new THREE.LineSegments(made, new THREE.LineBasicMaterial({ color: PAINT.site, depthWrite: false, depthTest: false }));
  line.renderOrder = 900;
  return line;
}

// Solids with walls and roofs in one mesh, and their edges in another.
function solids(items, data, { color, edge, low = () => 0 }) {
  const mason = new Mason();
  for (const item of items) {
    const shade = new THREE.Color(color(item));
    for (const polygon of item.p) {
      const rings = ringsOf(polygon, data.unit_m);
      mason.walls(rings, low(item), item.h, shade);
      mason.cap(rings, item.h, shade);
      if (low(item) > 0) mason.cap(rings, low(item), shade, false);
    }
  }
  const paint = new THREE.MeshLambertMaterial({ vertexColors: true, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1 });
  const mesh = new THREE.Mesh(mason.geometry(), paint);
  mesh.castShadow = mesh.receiveShadow = true;
  mesh.renderOrder = 1000;
  const lines = mason.lines(edge);
  lines.renderOrder = 1001;
  return [mesh, lines];
}

// Crowns as rounded bodies on trunks: rows of x, y, crown [cm], height [cm].
function trees(rows, data) {
  if (!rows.length) return [];
  const crown = new THREE.IcosahedronGeometry(1, 1);
  const trunk = new THREE.CylinderGeometry(0.5, 0.7, 1, 6);
  const paints = [PAINT.crown, PAINT.trunk].map((color) => new THREE.MeshLambertMaterial({ color, flatShading: true }));
  const [crowns, trunks] = [[crown, paints[0]], [trunk, paints[1]]].map(([body, paint]) => new THREE.InstancedMesh(body, paint, rows.length));
  const spot = new THREE.Matrix4();
  rows.forEach(([x, y, across, tall], i) => {
    const [px, pz, wide, high] = [x, y, across, tall].map((value) => value * data.unit_m);
    const foot = Math.min(0.3 * high, 3);
    spot.makeScale(wide / 2, (high - foot) / 2, wide / 2).setPosition(px, (high + foot) / 2, pz);
    crowns.setMatrixAt(i, spot);
    const thick = 0.05 * wide + 0.12;
    spot.makeScale(thick, high / 2, thick).setPosition(px, high / 4, pz);
    trunks.setMatrixAt(i, spot);
  });
  for (const mesh of [crowns, trunks]) {
    mesh.castShadow = mesh.receiveShadow = true;
    mesh.renderOrder = 1000;
  }
  return [crowns, trunks];
}

function dateOf(day) {
  return new Date(Date.UTC(2001, 0, day)).toLocaleDateString("en", { day: "numeric", month: "long", timeZone: "UTC" });
}

function clockOf(hour) {
  const minutes = Math.round(hour * 60);
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

// What is written beside the picture about the sun.
function sunText([east, north, up]) {
  if (up <= 0) return "The sun is below the horizon.";
  const bearing = (Math.atan2(east, north) / RAD + 360) % 360;
  return `Sun ${Math.round(Math.asin(up) / RAD)}° above the horizon, bearing ${Math.round(bearing)}° from north.`;
}

class View {
  constructor(root, data) {
    Object.assign(this, { root, data });
    this.canvas = root.querySelector("canvas");
    this.renderer = new THREE.WebGLRenderer({ canvas: this.canvas, antialias: true, preserveDrawingBuffer: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.shadowMap.autoUpdate = false;
    this.scene = new THREE.Scene();
    this.scene.background = new THREE.Color(PAINT.sheet);
    this.radius = data.radius_m;
    this.light();
    this.scene.add(...data.around.map((layer, n) => groundMesh(layer, n, data)));
    this.scene.add(...solids(data.around_buildings, data, { color: () => PAINT.around, edge: "#b9b2a8" }));
    this.camera = new THREE.PerspectiveCamera(START.field, 1, 1, 40 * this.radius);
    this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    Object.assign(this.controls, { maxPolarAngle: 88 * RAD, minDistance: 20, maxDistance: 12 * this.radius,
      zoomToCursor: true, screenSpacePanning: false, enableZoom: false });
    this.controls.addEventListener("change", () => this.draw());
    this.show(0);
  }

  light() {
    this.sky = new THREE.HemisphereLight("#eef3f8", "#cfc6b8", 1.6);
    this.sun = new THREE.DirectionalLight("#ffffff", 2);
    this.sun.castShadow = true;
    const edge = Math.min(4096, this.renderer.capabilities.maxTextureSize);
    this.sun.shadow.mapSize.set(edge, edge);
    const reach = this.radius * 1.05;
    Object.assign(this.sun.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach, near: 1, far: 6 * reach });
    Object.assign(this.sun.shadow, { bias: -0.0006, normalBias: 0.35 });
    this.scene.add(this.sky, this.sun, this.sun.target);
  }

  // A scheme in place of the one before.
  show(number) {
    if (this.group) {
      this.group.forEach((thing) => { this.scene.remove(thing); thing.geometry.dispose(); thing.material.dispose(); });
    }
    const [data, scheme] = [this.data, this.data.schemes[number]];
    const under = data.around.length;
    this.group = [
      ...scheme.ground.map((layer, n) => groundMesh(layer, under + n, data)),
      siteLine(data.site, data),
      ...solids(scheme.buildings, data, { color: (item) => data.uses[item.u].color, edge: PAINT.edge }),
      ...solids(scheme.canopy, data, { color: () => PAINT.crown, edge: "#6b9660", low: (item) => 0.4 * item.h }),
      ...trees(scheme.trees, data),
    ];
    this.scene.add(...this.group);
    this.renderer.shadowMap.needsUpdate = true;
    this.draw();
  }

  shine(day, hour) {
    const toward = sunDirection(this.data.latitude_deg, this.data.declination_deg[day - 1], hour);
    const up = toward[2];
    const [x, y, z] = onSheet(toward, this.data.north_deg);
    this.sun.visible = up > LOWEST_SUN;
    this.sun.position.set(x, y, z).multiplyScalar(3 * this.radius);
    // What faces the sun is as bright as its color says, however low the sun; dusk dims the sky.
    this.sun.intensity = 1.55 / Math.max(up, 0.3) * Math.min(1, up / 0.12);
    this.sun.color.set("#ffd9a8").lerp(new THREE.Color("#fffaf2"), Math.min(1, Math.max(0, up) / 0.45));
    this.sky.intensity = up > LOWEST_SUN ? 1.6 : 1.0;
    this.renderer.shadowMap.needsUpdate = true;
    this.draw();
    return sunText(toward);
  }

  home() {
    const narrow = Math.min(1, this.camera.aspect);
    const distance = this.data.site_radius_m / Math.sin(START.field / 2 * RAD) * 1.02 / narrow;
    this.controls.target.set(0, 0, 0);
    this.turn(START.azimuth * RAD, START.polar * RAD, distance);
  }

  // The camera around its target: to the right of the sheet's foot, down from straight above.
  turn(azimuth, polar, distance) {
    const across = Math.sin(polar) * distance;
    this.camera.position.set(across * Math.sin(azimuth), Math.cos(polar) * distance, across * Math.cos(azimuth)).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  // One step by a key: turn, move or zoom.
  step(key, shift) {
    const { controls } = this;
    const [azimuth, polar, far] = [controls.getAzimuthalAngle(), controls.getPolarAngle(), controls.getDistance()];
    const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
    const zoom = { "+": 1 / 1.15, "=": 1 / 1.15, "-": 1.15 }[key] ?? 1;
    if (key === "Home") { this.home(); return true; }
    if (!right && !down && zoom === 1) return false;
    if (shift && zoom === 1) {
      const [sin, cos] = [Math.sin(azimuth), Math.cos(azimuth)];
      const way = new THREE.Vector3(right * cos + down * sin, 0, down * cos - right * sin).multiplyScalar(0.05 * far);
      controls.target.add(way);
      this.camera.position.add(way);
      this.turn(azimuth, polar, far);
    } else {
      const low = Math.min(Math.max(polar + 5 * RAD * down, 0.01), 88 * RAD);
      this.turn(azimuth + 5 * RAD * right, low, Math.min(Math.max(far * zoom, 20), 12 * this.radius));
    }
    return true;
  }

  resize() {
    const { clientWidth: wide, clientHeight: high } = this.canvas;
    if (!wide || !high) return;
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setSize(wide, high, false);
    this.camera.aspect = wide / high;
    this.camera.updateProjectionMatrix();
    if (!this.placed) this.home();
    this.placed = true;
    this.draw();
  }

  draw() {
    if (this.waiting || !this.controls) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.renderer.render(this.scene, this.camera);
      const turn = this.data.north_deg + this.controls.getAzimuthalAngle() / RAD;
      this.root.querySelector(".compass g").setAttribute("transform", `rotate(${turn.toFixed(1)})`);
    });
  }
}

// Ties the picture to its controls.
function wire(root, view) {
  const find = (name) => root.querySelector(`[name=${name}]`);
  const shine = () => {
    const [day, hour] = [Number(find("day").value), Number(find("hour").value)];
    root.querySelector("output.day").textContent = dateOf(day);
    root.querySelector("output.hour").textContent = clockOf(hour);
    root.querySelector(".sun").textContent = view.shine(day, hour);
  };
  for (const name of ["day", "hour"]) find(name).addEventListener("input", shine);
  root.querySelectorAll("button[data-day]").forEach((button) => button.addEventListener("click", () => {
    find("day").value = button.dataset.day;
    shine();
  }));
  root.querySelector("button.home").addEventListener("click", () => view.home());
  root.querySelector("button.top").addEventListener("click", () => view.turn(0, 0.01, view.controls.getDistance()));
  find("scheme")?.addEventListener("change", (event) => view.show(Number(event.target.value)));
  const { canvas, controls } = view;
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }));
  // The page scrolls past the picture until somebody enters it.
  canvas.addEventListener("focus", () => { controls.enableZoom = true; });
  canvas.addEventListener("blur", () => { controls.enableZoom = false; });
  canvas.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && view.step(event.key, event.shiftKey)) event.preventDefault();
  });
  canvas.addEventListener("webglcontextlost", () => say(root, "The browser took the 3D picture away; load the page again."));
  new ResizeObserver(() => view.resize()).observe(canvas);
  view.resize();
  shine();
  root.classList.add("live"); // what was never drawn is not printed
}

function say(root, text) {
  const line = root.querySelector(".message");
  line.textContent = text;
  line.hidden = false;
  root.classList.remove("live");
  root.classList.add("none");
}

// The library, which a page holds once, packed.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function startScene(root) {
  const probe = document.createElement("canvas").getContext("webgl2");
  if (!probe || typeof DecompressionStream === "undefined") {
    say(root, "This browser offers no WebGL 2, so there is no 3D picture; the drawings hold the same plans.");
    return;
  }
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  try {
    const code = document.createElement("script");
    code.textContent = await unpack(root.querySelector("script.library").textContent);
    document.head.append(code);
    wire(root, new View(root, JSON.parse(root.querySelector("script.geometry").textContent)));
  } catch (err) {
    say(root, `There is no 3D picture: ${err.message}`);
  }
}

// Starts when the picture comes near the window, not before: most readers begin with the tables.
function watchScene(root) {
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    startScene(root);
  }, { rootMargin: "400px" });
  watch.observe(root);
}
