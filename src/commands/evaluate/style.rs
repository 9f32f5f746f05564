//! How the report looks: one sheet for light and dark, wide and narrow, screen and paper. No text.
//! Used by `page`.

/// The sheet. Wide tables scroll by themselves, so that the page never does sideways.
pub(super) const SHEET: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2330;--soft:#586174;--line:#d8dce4;\
--mark:#0b62c4;--rule:#a34a00;--wash:#f2f5fa}\
@media(prefers-color-scheme:dark){:root{--paper:#12161d;--ink:#e8ebf1;--soft:#a5aebd;\
--line:#333b48;--mark:#7ab5ff;--rule:#ffab66;--wash:#1b212b}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:54rem;padding:1.5rem 1rem 4rem;background:var(--paper);\
color:var(--ink);font:1rem/1.55 system-ui,sans-serif}\
h1{font-size:1.6rem;line-height:1.25;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 .4em}\
p,ul{max-width:44rem}.soft,figcaption{color:var(--soft)}\
.answer{background:var(--wash);border-left:.3rem solid var(--mark);padding:.8rem 1rem;\
font-size:1.1rem;margin:1rem 0}.answer p{margin:.3em 0}\
.warn{border-left:.3rem solid var(--rule);padding:.4rem 1rem;margin:.6rem 0}\
.wide{overflow-x:auto}.wide:focus-visible{outline:2px solid var(--mark)}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
caption{text-align:left;color:var(--soft);padding-bottom:.3rem}\
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;\
vertical-align:top}td{white-space:nowrap}\
th[scope=row]{min-width:9rem}th[scope=row],thead th:first-child{text-align:left;font-weight:500}\
thead th{font-weight:600}tr.lead{background:var(--wash)}\
figure{margin:1rem 0}figure svg{display:block;width:100%;height:auto;max-width:40rem}\
figure.wide svg{min-width:30rem}\
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem}\
svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg .label{fill:var(--ink)}\
.grid{stroke:var(--line);stroke-width:1}\
.agree{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}\
circle.mark{fill:var(--mark)}circle.rule{fill:var(--rule)}\
.span{stroke-width:2.5}.span.mark{stroke:var(--mark)}.span.rule{stroke:var(--rule)}\
details{margin:1rem 0}summary{cursor:pointer;font-weight:600}\
@media print{body{max-width:none}details{display:block}}";
