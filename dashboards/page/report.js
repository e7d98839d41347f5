// Reports of what is shown, as files. They are asked for with the login of this tab, which a link would not carry.

import { html, request } from "/session.js";

/** `address` gives the report's address without its format, `fail` is told why there is none. */
export function offerReports(buttons, address, fail) {
  for (const button of buttons) {
    button.onclick = async () => {
      button.disabled = true;
      try {
        const response = await request(`${address()}&format=${button.dataset.report}`);
        const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `report.${button.dataset.report}`;
        const file = URL.createObjectURL(await response.blob());
        html("a", { href: file, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(file), 10000);
      } catch (error) {
        fail(error);
      } finally {
        button.disabled = false;
      }
    };
  }
}
