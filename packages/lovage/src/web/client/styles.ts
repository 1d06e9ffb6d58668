/**
 * The elements' style sheet, adopted rather than written into a style element, so that a strict Content-Security-Policy
 * lets it pass. Every colour and size a page may want to change is a custom property; `light-dark` follows the page's
 * own `color-scheme`.
 */
export const css: string = `
lovage-task,lovage-tasks{
--_accent:var(--lovage-accent,light-dark(#2450c8,#8fb1ff));
--_done:var(--lovage-success,light-dark(#11693a,#69d79a));
--_failed:var(--lovage-danger,light-dark(#b3261e,#ff9b91));
--_retrying:var(--lovage-warning,light-dark(#835000,#f3bd5b));
--_muted:var(--lovage-muted,light-dark(#59606c,#a4adba));
--_track:var(--lovage-track,light-dark(#e4e8ef,#2c333f));
--_line:var(--lovage-border,light-dark(#d3d9e2,#38414f));
--_radius:var(--lovage-radius,6px);
--_gap:var(--lovage-gap,.5em);
display:block;color:var(--lovage-text,inherit);font-family:var(--lovage-font,inherit);line-height:1.45;text-align:start}
lovage-tasks{container-type:inline-size}
.lovage-head,.lovage-foot{display:flex;align-items:center;gap:.25em var(--_gap)}
.lovage-foot{flex-wrap:wrap}
.lovage-head{align-items:start;justify-content:space-between;margin-block-end:var(--_gap)}
.lovage-title{font-weight:600;overflow-wrap:anywhere;min-inline-size:0}
.lovage-state{--_c:var(--_muted);display:inline-flex;align-items:center;gap:.35em;padding:.1em .6em .1em .45em;border-radius:99px;font-size:.8125em;font-weight:600;line-height:1.5;white-space:nowrap;color:var(--_c);background:color-mix(in srgb,var(--_c) 11%,transparent)}
.lovage-state svg{inline-size:1em;block-size:1em;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round;flex:none}
[data-kind=running]{--_c:var(--_accent)}
[data-kind=done]{--_c:var(--_done)}
[data-kind=failed]{--_c:var(--_failed)}
[data-kind=retrying]{--_c:var(--_retrying)}
.lovage-bar{--_c:var(--_accent);block-size:var(--lovage-bar-height,8px);border-radius:99px;background:var(--_track);overflow:hidden}
.lovage-bar[data-kind=done]{--_c:var(--_done)}
.lovage-bar[data-kind=failed]{--_c:var(--_failed)}
.lovage-bar[data-kind=retrying]{--_c:var(--_retrying)}
.lovage-bar[data-kind=stopped]{--_c:var(--_muted)}
.lovage-fill{block-size:100%;inline-size:0;border-radius:inherit;background:var(--_c);transition:inline-size .3s ease-out}
.lovage-fill[data-moving]{inline-size:30%;animation:lovage-slide 1.5s ease-in-out infinite alternate}
@keyframes lovage-slide{from{margin-inline-start:0}to{margin-inline-start:70%}}
.lovage-foot{min-block-size:28px;margin-block-start:.375em;font-size:.875em;font-variant-numeric:tabular-nums}
.lovage-percent{font-weight:600}
.lovage-detail,.lovage-left,.lovage-note{color:var(--_muted)}
.lovage-detail{text-align:match-parent;overflow-wrap:anywhere;flex:1 1 8em}
.lovage-end{display:flex;align-items:center;gap:var(--_gap);margin-inline-start:auto}
.lovage-cancel{min-block-size:28px;min-inline-size:28px;padding:.15em .75em;font:inherit;font-weight:500;color:inherit;background:transparent;border:1px solid var(--_line);border-radius:var(--_radius);cursor:pointer}
.lovage-cancel:hover{color:var(--_failed);border-color:currentColor}
.lovage-cancel:focus-visible{outline:2px solid var(--_accent);outline-offset:2px}
.lovage-cancel[aria-disabled=true]{opacity:.65;cursor:default}
.lovage-note,.lovage-error{margin:.25em 0 0;font-size:.875em;overflow-wrap:anywhere}
.lovage-error{color:var(--_failed)}
.lovage-reference{display:block;color:var(--_muted);font-size:.9em;font-variant-numeric:tabular-nums}
.lovage-percent:empty,.lovage-detail:empty,.lovage-left:empty,.lovage-note:empty,.lovage-error:empty,.lovage-reference:empty,.lovage-cancel[hidden],.lovage-bar[hidden],.lovage-foot[hidden]{display:none}
[link=reconnecting] .lovage-bar{filter:grayscale(1);opacity:.6}
[link=reconnecting] .lovage-note{animation:lovage-in .2s 1s backwards}
@keyframes lovage-in{from{opacity:0}}
.lovage-table{inline-size:100%;border-collapse:collapse}
.lovage-table caption{text-align:start;font-weight:700;font-size:1.125em;padding-block-end:var(--_gap)}
.lovage-table th,.lovage-table td{text-align:start;vertical-align:top;padding:.75em 0;border-block-end:1px solid var(--_line);font-weight:inherit}
.lovage-table thead th{padding-block:.375em;font-size:.8125em;color:var(--_muted)}
.lovage-table th{inline-size:38%;padding-inline-end:1em}
.lovage-table .lovage-title{display:block;margin-block-end:.3em}
.lovage-table tbody tr:last-child>*{border:0}
.lovage-table td .lovage-bar{margin-block-start:.5em}
@container(max-width:32em){.lovage-table th,.lovage-table td{display:block;inline-size:auto;padding-inline:0}.lovage-table tbody th{border:0;padding-block-end:.25em;display:flex;align-items:start;justify-content:space-between;gap:var(--_gap)}.lovage-table td{padding-block-start:0}.lovage-table td .lovage-bar{margin:0}.lovage-table thead{display:none}}
.lovage-unseen{position:absolute;inline-size:1px;block-size:1px;margin:-1px;padding:0;overflow:hidden;clip-path:inset(50%);white-space:nowrap;border:0}
@media(prefers-reduced-motion:reduce){.lovage-fill{transition:none}.lovage-fill[data-moving]{animation:none;inline-size:100%;background:repeating-linear-gradient(135deg,var(--_c) 0 6px,transparent 6px 12px)}[link=reconnecting] .lovage-note{animation:none}}
@media(forced-colors:active){.lovage-bar{border:1px solid}.lovage-fill{background:Highlight;forced-color-adjust:none}.lovage-state{border:1px solid}}
`
