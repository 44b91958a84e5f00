// Keys for the review page: 1 to 9 and u choose an answer, z zooms, Enter sends. They can be switched off.

const KEYS = 'dermpack-keys';
const form = document.querySelector('form[data-keys]');
const frame = document.querySelector('.frame');
const zoom = document.querySelector('button[data-zoom]');
const toggle = document.querySelector('input[data-toggle-keys]');

function setZoom(isZoomed) {
  frame.classList.toggle('zoomed', isZoomed);
  zoom.setAttribute('aria-pressed', String(isZoomed));
}

function choose(key) {
  const choice = form.querySelector(`input[data-key="${key}"]`);
  if (choice === null) return false;
  choice.checked = true;
  choice.focus();
  return true;
}

if (frame !== null && zoom !== null) {
  zoom.hidden = false;
  zoom.addEventListener('click', () => setZoom(!frame.classList.contains('zoomed')));
}
if (toggle !== null) {
  toggle.closest('label').hidden = false;
  toggle.checked = localStorage.getItem(KEYS) !== 'off';
  toggle.addEventListener('change', () => localStorage.setItem(KEYS, toggle.checked ? 'on' : 'off'));
}
document.addEventListener('keydown', (event) => {
  const isWriting = event.target.matches('textarea, select, input[type="text"]');
  if (isWriting || event.ctrlKey || event.altKey || event.metaKey || (toggle !== null && !toggle.checked)) return;
  const key = event.key.toLowerCase();
  if (key === 'z' && zoom !== null) setZoom(!frame.classList.contains('zoomed'));
  else if (!(form !== null && /^[1-9u]$/.test(key) && choose(key))) return;
  event.preventDefault();
});
