// What a page needs so that people can use it who do not see well, or have no mouse. Not all of WCAG: what such small pages
// can get wrong.

/** What is wrong with a page: sentences, none if all is well. */
export async function judge(page) {
  return [...(await page.evaluate(looked)), ...(await tabbed(page))];
}

/** Runs in the page. */
function looked() {
  const wrong = [];
  const check = (right, what) => right || wrong.push(what);

  check(document.documentElement.lang, 'the page does not say its language');
  check(document.title.trim(), 'the page has no title');
  const headings = document.querySelectorAll('h1').length;
  check(headings === 1, `the page has ${headings} main headings`);
  check(document.querySelectorAll('main').length === 1, 'the page has not one main part');
  check(document.querySelector('meta[name=viewport]'), 'the page is not made for telephones');
  check(document.documentElement.scrollWidth <= innerWidth, 'the page is wider than the window');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  check(new Set(ids).size === ids.length, `an id is there twice: ${ids}`);
  for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    check(field.labels.length || field.ariaLabel, `the field ${field.name} has no label`);
  }
  for (const pressed of document.querySelectorAll('button, a[href], summary')) {
    check((pressed.ariaLabel ?? pressed.innerText).trim(), `${pressed.outerHTML} has no name`);
  }
  for (const image of document.querySelectorAll('img, svg')) {
    check(image.alt || image.ariaHidden === 'true' || image.role === 'img', `${image.outerHTML} has no description`);
  }

  // WCAG 2.2, 1.4.3: the contrast of each text to what is behind it.
  const channels = (colour) => {
    const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [red, green, blue], alpha };
  };
  const luminance = ({ rgb }) => {
    const [red, green, blue] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const ground = channels(getComputedStyle(at).backgroundColor);
      if (ground.alpha === 1) return ground;
    }
    return { rgb: matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255] };
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: element, data } = texts.currentNode;
    if (!data.trim() || !element.checkVisibility() || element.closest('script, style, [aria-hidden=true]')) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [channels(style.color), behind(element)].map(luminance).sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const contrast = (light + 0.05) / (dark + 0.05);
    check(contrast >= least, `"${data.trim()}" has a contrast of ${contrast.toFixed(2)}, which is less than ${least}`);
  }
  return wrong;
}

/** Goes through the page with the tab key: everything is reached, in the order in which it stands there, and one sees where one is. */
async function tabbed(page) {
  const reachable = 'a[href], button, input:not([type=hidden]), select, textarea, summary';
  const all = await page.evaluate((selector) => {
    document.activeElement?.blur();
    const elements = [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());
    elements.forEach((element, index) => element.setAttribute('data-judged', index));
    return elements.length;
  }, reachable);
  const wrong = [];
  // From the top, wherever the page had put the focus.
  await page.evaluate(() => {
    const top = document.createElement('span');
    top.tabIndex = -1;
    top.id = 'judge-top';
    document.body.prepend(top);
    top.focus();
  });
  for (let index = 0; index < all; index += 1) {
    await page.keyboard.press('Tab');
    const [at, outline] = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return [element.getAttribute('data-judged'), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1];
    });
    if (at !== String(index)) wrong.push(`the tab key goes to ${at} when it is the turn of ${index}`);
    if (!outline) wrong.push(`nothing shows that the keyboard is at ${index}`);
  }
  await page.evaluate(() => {
    document.getElementById('judge-top').remove();
    document.querySelectorAll('[data-judged]').forEach((element) => element.removeAttribute('data-judged'));
  });
  return wrong;
}
